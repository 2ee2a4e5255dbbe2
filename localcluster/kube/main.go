// Command kube is every Kubernetes server of the local cluster in one binary.
//
// The first argument names the server to run, the rest is that server's own
// command line: "kube kube-apiserver --help". One binary shares one copy of
// the Kubernetes libraries, which keeps the build and the file small.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var servers = map[string]func() int{
	"etcd":                    etcd,
	"kube-apiserver":          serve(apiserver.NewAPIServerCommand),
	"kube-controller-manager": serve(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          serve(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
}

func main() {
	if len(os.Args) < 2 || servers[os.Args[1]] == nil {
		usage()
	}
	run := servers[os.Args[1]]
	// Each server reads os.Args as if it had been started under its own name.
	os.Args = os.Args[1:]
	os.Exit(run())
}

func etcd() int {
	// etcdmain picks its sub-command from argv[0] and argv[1]; "etcd" as
	// argv[0] is the plain server.
	etcdmain.Main(os.Args)
	return 0
}

func serve(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

func usage() {
	names := make([]string, 0, len(servers))
	for name := range servers {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: kube SERVER [FLAG...], with SERVER one of: %s\n", strings.Join(names, ", "))
	os.Exit(2)
}
