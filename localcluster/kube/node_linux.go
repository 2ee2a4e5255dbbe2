package main

import (
	"context"

	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// A real node exists on Linux only; elsewhere the binary is a control plane.
func init() {
	servers["kube-proxy"] = serve(proxy.NewProxyCommand)
	servers["kubelet"] = serve(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) })
}
