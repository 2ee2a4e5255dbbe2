"""The phrasings: for every topic, the sentences used in training and the ones held out.

The two lists of a topic are disjoint. Held-out sentences mostly reuse words that occur somewhere
in training, because a model without pre-training cannot know a word that it never saw.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Topic(StrEnum):
    """What is asked; the value is the first part of a template id."""

    PRICE = "price"
    STOCK = "stock"
    COLOUR = "colour"
    DAYS = "days"
    TOTAL = "total"
    VOUCHER = "voucher"
    PERCENT = "percent"
    CHANGE = "change"
    DIFFERENCE = "difference"
    CHEAPEST = "cheapest"


class Phrasings(NamedTuple):
    """Sentences of one topic; braces name values (`p`, `ps`, `q` ... see `task`)."""

    train: tuple[str, ...]
    test: tuple[str, ...]


OPENINGS: Final = ("", "", "", "Hello, ", "Hi, ", "Good morning, ", "Quick question: ", "Please: ")
CLOSINGS: Final = ("", "", "", "", " Thanks.", " Thank you.", " Please be quick.")

PHRASINGS: Final[dict[Topic, Phrasings]] = {
    Topic.PRICE: Phrasings(
        train=(
            "how much is the {p}?",
            "what does the {p} cost?",
            "what is the price of the {p}?",
            "tell me the price of the {p}.",
            "can you tell me what the {p} costs?",
            "i want to buy the {p}, how much is it?",
            "i like the {p}. what does it cost?",
            "how many euros is the {p}?",
            "do you know how much the {p} costs?",
            "i need the price for the {p}.",
            "what must i pay for the {p}?",
            "the {p}, what price is it?",
            "the {p}: how much?",
            "could you give me the price of your {p}?",
        ),
        test=(
            "how much does the {p} cost?",
            "i need a {p}. what is the price?",
            "how many euros must i pay for the {p}?",
            "could you tell me how much the {p} is?",
            "what price is the {p}?",
        ),
    ),
    Topic.STOCK: Phrasings(
        train=(
            "how many {ps} are left?",
            "how many {ps} do you have?",
            "what is the stock of the {p}?",
            "tell me the stock of the {p}.",
            "can you tell me how many {ps} you have?",
            "i want to buy the {p}, how many are left?",
            "how many pieces of the {p} are in stock?",
            "do you know how many {ps} are there?",
            "i need the stock for the {p}.",
            "i like the {p}. how many are there?",
            "the {p}: how many left?",
            "could you give me the number of {ps} in stock?",
            "are there {ps} left, and how many?",
            "what number of {ps} do you have in the shop?",
        ),
        test=(
            "how many {ps} are in stock?",
            "could you tell me how many {ps} are left?",
            "i need a {p}. how many do you have?",
            "what number of {ps} are left?",
            "tell me how many {ps} are there.",
        ),
    ),
    Topic.COLOUR: Phrasings(
        train=(
            "what colour is the {p}?",
            "what is the colour of the {p}?",
            "tell me the colour of the {p}.",
            "which colour does the {p} have?",
            "can you tell me which colour the {p} is?",
            "i want to buy the {p}, what colour is it?",
            "do you know the colour of the {p}?",
            "i need the colour for the {p}.",
            "i like the {p}. which colour is it?",
            "the {p}: what colour?",
            "could you give me the colour of your {p}?",
            "in which colour do you have the {p}?",
        ),
        test=(
            "which colour is the {p}?",
            "could you tell me the colour of the {p}?",
            "i need a {p}. what colour is it?",
            "what colour does your {p} have?",
            "the {p}, which colour is it?",
        ),
    ),
    Topic.DAYS: Phrasings(
        train=(
            "how many days until the {p} is here?",
            "how long does delivery of the {p} take?",
            "what is the delivery time of the {p}?",
            "tell me the delivery time of the {p}.",
            "when do i get the {p}?",
            "can you tell me how long the {p} takes?",
            "i want to buy the {p}, how long does it take?",
            "in how many days do you deliver the {p}?",
            "do you know when the {p} is here?",
            "i need the delivery time for the {p}.",
            "i like the {p}. when is it here?",
            "the {p}: how many days?",
            "could you give me the days of delivery for your {p}?",
            "how long must i wait for the {p}?",
        ),
        test=(
            "how many days does delivery of the {p} take?",
            "how long does the {p} take?",
            "i need a {p}. when do i get it?",
            "could you tell me the delivery time of the {p}?",
            "how many days must i wait for the {p}?",
        ),
    ),
    Topic.TOTAL: Phrasings(
        train=(
            "what is the total for {q} {ps} and {r} {os}?",
            "i want to buy {q} {ps} and {r} {os}. what is the total?",
            "how much do {q} {ps} and {r} {os} cost together?",
            "i take {q} {ps} and also {r} {os}, what must i pay?",
            "what do i pay for {q} {ps} and {r} {os}?",
            "tell me the total of {q} {ps} plus {r} {os}.",
            "my order is {q} {ps} and {r} {os}. how much is it?",
            "please add up {q} {ps} and {r} {os}.",
            "we need {q} {ps} and {r} {os} for the office, how much is that together?",
            "can you tell me what {q} {ps} with {r} {os} cost?",
            "i put {q} {ps} in my bag and then {r} {os}. the total?",
            "order: {q} {ps}, {r} {os}. what is the price of it all?",
            "could you give me the price for {q} {ps} and {r} {os} together?",
        ),
        test=(
            "how much is my order of {q} {ps} and {r} {os}?",
            "we want to buy {q} {ps} and {r} {os}, what must we pay?",
            "what do {q} {ps} and {r} {os} cost together?",
            "tell me what i pay for {q} {ps} plus {r} {os}.",
            "i need {q} {ps} and also {r} {os}. what is the total?",
        ),
    ),
    Topic.VOUCHER: Phrasings(
        train=(
            "i buy {q} {ps} and have a voucher of {v} euros. what must i pay?",
            "what do {q} {ps} cost with a voucher of {v} euros?",
            "with {v} euros off, how much are {q} {ps}?",
            "i take {q} {ps} with {v} euros off. what is the total?",
            "my voucher is {v} euros. how much do i pay for {q} {ps}?",
            "how much are {q} {ps} less a voucher of {v} euros?",
            "we need {q} {ps} for the office and get {v} euros off, what is the total?",
            "can you tell me the price of {q} {ps} if i use my {v} euros voucher?",
            "order: {q} {ps}, voucher {v} euros. what must i pay?",
            "could you take {v} euros off {q} {ps} and give me the total?",
            "there is a voucher of {v} euros on my order of {q} {ps}. how much is it then?",
            "tell me the total of {q} {ps} after {v} euros off.",
        ),
        test=(
            "i want to buy {q} {ps} and use a voucher of {v} euros. what is the total?",
            "how much do i pay for {q} {ps} with {v} euros off?",
            "with a voucher of {v} euros, what must i pay for {q} {ps}?",
            "my order is {q} {ps}, and i have {v} euros off. how much is it?",
            "tell me what {q} {ps} cost after a voucher of {v} euros.",
        ),
    ),
    Topic.PERCENT: Phrasings(
        train=(
            "i buy {q} {ps} with {v} percent discount. what must i pay?",
            "what do {q} {ps} cost with a discount of {v} percent?",
            "with {v} percent off, how much are {q} {ps}?",
            "i take {q} {ps} with {v} percent off. what is the total?",
            "my discount is {v} percent. how much do i pay for {q} {ps}?",
            "how much are {q} {ps} less a discount of {v} percent?",
            "we need {q} {ps} for the office and get {v} percent off, what is the total?",
            "can you tell me the price of {q} {ps} if i use my {v} percent discount?",
            "order: {q} {ps}, discount {v} percent. what must i pay?",
            "could you take {v} percent off {q} {ps} and give me the total?",
            "there is a discount of {v} percent on my order of {q} {ps}. how much is it then?",
            "tell me the total of {q} {ps} after {v} percent off.",
        ),
        test=(
            "i want to buy {q} {ps} and get a discount of {v} percent. what is the total?",
            "how much do i pay for {q} {ps} with {v} percent off?",
            "with a discount of {v} percent, what must i pay for {q} {ps}?",
            "my order is {q} {ps}, and i have {v} percent off. how much is it?",
            "tell me what {q} {ps} cost after a discount of {v} percent.",
        ),
    ),
    Topic.CHANGE: Phrasings(
        train=(
            "i buy {q} {ps} and give you {v} euros. how much do i get back?",
            "i pay {v} euros for {q} {ps}, how much change do i get?",
            "what is my change from {v} euros for {q} {ps}?",
            "how much of my {v} euros do i have left after {q} {ps}?",
            "i have {v} euros and take {q} {ps}. what do i get back?",
            "we have {v} euros for the office and need {q} {ps}, how many euros are left then?",
            "my order is {q} {ps} and i pay with {v} euros. what is the change?",
            "tell me the change if i give you {v} euros for {q} {ps}.",
            "out of {v} euros, how much do i get back for {q} {ps}?",
            "can you tell me how much change from {v} euros there is after {q} {ps}?",
        ),
        test=(
            "i take {q} {ps} and pay with {v} euros. how much change do i get?",
            "i give you {v} euros for {q} {ps}, what do i get back?",
            "how much change is there from {v} euros if i buy {q} {ps}?",
            "we have {v} euros and buy {q} {ps}. how much do we have left?",
        ),
    ),
    Topic.DIFFERENCE: Phrasings(
        train=(
            "how much more do {q} {ps} cost than {r} {os}?",
            "what is the difference in price between {q} {ps} and {r} {os}?",
            "by how many euros are {r} {os} cheaper than {q} {ps}?",
            "how much do i save if i buy {r} {os} and not {q} {ps}?",
            "{q} {ps} cost more than {r} {os}, but how much more?",
            "tell me how much cheaper {r} {os} are than {q} {ps}.",
            "can you tell me the price difference of {q} {ps} and {r} {os}?",
            "between {q} {ps} and {r} {os}, how much is the difference?",
            "i like {q} {ps} but {r} {os} cost less. how much less?",
            "what do i save with {r} {os} over {q} {ps}?",
        ),
        test=(
            "how much cheaper are {r} {os} than {q} {ps}?",
            "tell me the difference in price between {q} {ps} and {r} {os}.",
            "by how many euros do {q} {ps} cost more than {r} {os}?",
            "how many euros do i save if i take {r} {os} and not {q} {ps}?",
        ),
    ),
    Topic.CHEAPEST: Phrasings(
        train=(
            "i want {q} pieces of the cheapest of {p}, {o} and {x}. what is the total?",
            "what do {q} pieces cost of whichever is cheapest: {p}, {o} or {x}?",
            "{p}, {o} or {x}: take the cheapest, {q} times. how much is it?",
            "of {p}, {o} and {x} i take {q} of the cheapest, what must i pay?",
            "tell me the price of {q} pieces of the cheapest among {p}, {o} and {x}.",
            "we need {q} for the office, {p}, {o} or {x}, the cheapest. how much is that?",
            "my order is {q} of the cheapest one of {p}, {o}, {x}. what do i pay?",
            "if i buy the cheapest of {p}, {o} and {x} and take {q}, what does it cost?",
            "order: {q} of the cheapest, {p} or {o} or {x}. the total?",
            "among {p}, {o} and {x}, how much are {q} of the cheapest?",
        ),
        test=(
            "what must i pay for {q} of the cheapest among {p}, {o} and {x}?",
            "i take {q} pieces of the cheapest one of {p}, {o} or {x}. how much is it?",
            "of {p}, {o} and {x}, what do {q} of the cheapest cost?",
            "tell me the total if i buy {q} of the cheapest: {p}, {o} or {x}.",
        ),
    ),
}
SIMPLE_TOPICS: Final = (Topic.PRICE, Topic.STOCK, Topic.COLOUR, Topic.DAYS)
COMPLEX_TOPICS: Final = (
    Topic.TOTAL, Topic.VOUCHER, Topic.PERCENT, Topic.CHANGE, Topic.DIFFERENCE, Topic.CHEAPEST,
)  # fmt: skip
