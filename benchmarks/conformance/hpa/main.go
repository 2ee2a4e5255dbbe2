// Answers scaling cases, one JSON object a line, with the code of kube-controller-manager itself.
package main

import (
	"bufio"
	"fmt"
	"os"

	"autoglm.dev/localcluster/kube/podautoscaler"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	for lines.Scan() {
		fmt.Fprintln(answers, string(podautoscaler.Answer(lines.Bytes())))
	}
}
