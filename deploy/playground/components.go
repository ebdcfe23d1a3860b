package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"
	_ "time/tzdata" // for CronJobs with a time zone, on machines that know none

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
)

// components are the applets that only `playground up` starts, as its children.
// Each runs with os.Args[0] as its name and returns its exit code.
var components = map[string]func() int{
	"etcd":                    runEtcd,
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
	"kube-scheduler": func() int {
		return cli.Run(scheduler.NewSchedulerCommand(scheduler.WithPlugin(pendingName, newPendingPlugin)))
	},
	"kwok": runKwok,
}

// endWithParent ends this process when its parent is gone, however it went:
// the standard input is a pipe that the parent holds open and never writes to.
func endWithParent() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(exitFailed)
	}()
}

func runEtcd() int {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	dir := flags.String("dir", "", "where the data is")
	listen := flags.String("listen", "", "the URL to listen on")
	_ = flags.Parse(os.Args[1:]) // exits by itself
	if err := serveEtcd(*dir, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return exitFailed
	}
	return 0
}

// serveEtcd runs a single etcd that forgets everything in a power cut, and is
// quick for it.
func serveEtcd(dir, listen string) error {
	client, err := url.Parse(listen)
	if err != nil {
		return fmt.Errorf("reading --listen: %w", err)
	}
	config := embed.NewConfig()
	config.Dir = dir
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = time.Second // 0 would log every request
	config.EnableGRPCGateway = false
	config.TickMs, config.ElectionMs = 20, 200 // there is nobody to be elected against
	config.SocketOpts.ReusePort = true         // up holds the port
	config.ListenClientUrls = []url.URL{*client}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	return <-etcd.Err()
}

func runKwok() int {
	flags := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(context.Background(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err == nil {
		command := kwok.NewCommand(ctx)
		command.Version = "" // Kubernetes has a --version flag of another type
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		return exitFailed
	}
	return 0
}
