"""`spec.routing`: how a query's class is found. Part of `spec`, and as it is part of the gateway's configuration."""

from enum import StrEnum
from typing import Annotated, Final, Literal, get_args

from pydantic import ConfigDict, Field

from autoglm_api import names, schema
from autoglm_api.schema import Model, cel, list_map

_DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_MODEL: Final = r"^[a-zA-Z0-9]([-a-zA-Z0-9._/]*[a-zA-Z0-9])?$"


class QueryClass(StrEnum):
    """The class of a query: which kind of pool answers it."""

    SIMPLE = "Simple"
    COMPLEX = "Complex"
    EMBEDDING = "Embedding"  # told by the path and the model's name, never by score, header or rule


WrittenClass = Literal[QueryClass.SIMPLE, QueryClass.COMPLEX]
"""The classes of queries that are answered with text; the router chooses between them."""

WRITTEN_CLASSES: Final[tuple[QueryClass, ...]] = get_args(WrittenClass)


class Threshold(StrEnum):
    """What bounds the class Complex."""

    FIXED = "Fixed"
    BUDGET = "Budget"


class RuleMatch(Model):
    """What a query must have for a rule to hold; every given field must fit."""

    model: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=63,
            pattern=_MODEL,
            description="The model that the client asks for. A name that neither the deployment nor a pool's model has "
            "becomes one more name of this service.",
        ),
    ] = None
    path_prefix: Annotated[
        str | None, Field(max_length=256, pattern=r"^/", description="The request path begins with this.")
    ] = None
    tools: Annotated[bool | None, Field(description="Whether the request offers tools to the model.")] = None
    task_type: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=63,
            pattern=_DNS_LABEL,
            description=f"The value of the request header {names.HEADER_TASK}.",
        ),
    ] = None


class Rule(Model):
    """A class for some queries, whatever their score."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=_DNS_LABEL, description="Told in the answer.")]
    match: Annotated[
        RuleMatch,
        Field(
            description="What a query must have.",
            json_schema_extra=schema.rules(
                cel(
                    "has(self.model) || has(self.pathPrefix) || has(self.tools) || has(self.taskType)",
                    "a rule without a condition would take every query: give model, pathPrefix, tools or taskType",
                )
            ),
        ),
    ]
    query_class: Annotated[
        WrittenClass, Field(alias="class", description="Simple or Complex: the class of such a query.")
    ]

    # The names of the other parts are camelCase; this one is a keyword of Python.
    model_config = ConfigDict(populate_by_name=True)


class WeightsRef(Model):
    """A ConfigMap with weights that `autoglm route train` wrote."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=_DNS_SUBDOMAIN, description="A ConfigMap in this namespace."),
    ]
    key: Annotated[
        str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="The key in its data.")
    ] = "weights.json"


_TAKEN_HEADERS: Final = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
    names.HEADER_REQUEST_ID,
    names.HEADER_TRACEPARENT,
    names.HEADER_TASK,
]


class Routing(Model):
    """How a query's class is found: header, then rules, then the score of its text."""

    threshold: Annotated[
        Threshold,
        Field(
            description="Fixed: a score of scoreThreshold or more is Complex. Budget: the same, but never more than "
            "complexSharePercent of the last hour's queries; the highest scores go first."
        ),
    ] = Threshold.FIXED
    score_threshold: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="The score from 0 to 100 at which a query is Complex; 50 is where the weights put it.",
        ),
    ] = 50
    uncertain_points: Annotated[
        int,
        Field(ge=0, le=50, description="A score this little below scoreThreshold is not certain, and Complex as well."),
    ] = 0
    complex_share_percent: Annotated[
        int,
        Field(ge=0, le=100, description="With threshold Budget: the most queries in a hundred that may be Complex."),
    ] = 30
    rules: Annotated[
        list[Rule],
        Field(
            default_factory=list,
            max_length=16,
            description="Classes that are known without the score; the first rule that fits decides.",
            json_schema_extra=list_map("name"),
        ),
    ]
    weights_config_map_ref: Annotated[
        WeightsRef | None,
        Field(description="Weights of the score, trained on your own queries; followed without a restart."),
    ] = None
    spillover: Annotated[
        bool,
        Field(description="Send a query to the other class while no replica of its own class has room."),
    ] = False
    spillover_floor_percent: Annotated[
        int,
        Field(ge=0, le=100, description="Slots of the other class, in a hundred, that stay free for its own queries."),
    ] = 20
    allow_override: Annotated[
        bool, Field(description="Whether clients may name the class in the overrideHeader; otherwise 403.")
    ] = True
    override_header: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9-]+$",
            description="Request header that names the class (Simple or Complex) instead of rules and score.",
            json_schema_extra=schema.rules(
                cel(
                    f"!(self.lowerAscii() in {_TAKEN_HEADERS})",
                    "this header has a meaning of its own: choose another overrideHeader, such as X-AutoGLM-Class",
                )
            ),
        ),
    ] = "X-AutoGLM-Class"
