package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

const (
	loopback = "127.0.0.1"
	// kubeletResync is how soon a status is written again that couldn't be.
	kubeletResync = 30 * time.Second
)

// kubelet does for a cluster's nodes what kwok doesn't: it lets pods fail, and
// serves containers' logs.
type kubelet struct {
	client   kubernetes.Interface
	listener net.Listener // of all nodes
	events   record.EventBroadcaster
	recorder record.EventRecorder
	ctx      context.Context // ends with stop
	stop     func()
}

// newKubelet opens the port that the API server fetches logs from.
func newKubelet(client kubernetes.Interface, p pki) (*kubelet, error) {
	certificate, err := tls.X509KeyPair(p.serving, p.servingKey)
	if err != nil {
		return nil, fmt.Errorf("reading the kubelet's certificate: %w", err)
	}
	listener, err := tls.Listen("tcp", loopback+":0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, fmt.Errorf("opening the kubelet's port: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &kubelet{client: client, listener: listener, ctx: ctx, events: record.NewBroadcaster(record.WithContext(ctx))}
	k.recorder = k.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet"})
	k.stop = func() {
		cancel()
		_ = listener.Close()
	}
	return k, nil
}

func (k *kubelet) port() int32 { return int32(k.listener.Addr().(*net.TCPAddr).Port) }

// start watches pods and serves logs until stop.
func (k *kubelet) start() {
	k.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: k.client.CoreV1().Events("")})
	scheduled := fields.OneTermNotEqualSelector("spec.nodeName", "")
	_, pods := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(k.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, scheduled),
		ObjectType:    &corev1.Pod{},
		ResyncPeriod:  kubeletResync,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { k.observe(object.(*corev1.Pod)) },
			UpdateFunc: func(_, object any) { k.observe(object.(*corev1.Pod)) },
		},
	})
	go pods.RunWithContext(k.ctx)
	server := &http.Server{Handler: k.handler(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(k.listener) }() // ends with the listener
}

// observe writes the pod's next status when it is due. If the pod has changed
// by then the write is a conflict, and the change was observed itself.
func (k *kubelet) observe(p *corev1.Pod) {
	next := nextChange(p, metav1.Now())
	if next == nil {
		return
	}
	time.AfterFunc(next.after, func() {
		next := nextChange(p, metav1.Now())
		changed := p.DeepCopy()
		changed.Status = next.status
		if _, err := k.client.CoreV1().Pods(p.Namespace).UpdateStatus(k.ctx, changed, metav1.UpdateOptions{}); err != nil {
			return // resync tries again
		}
		for _, w := range next.warnings {
			k.recorder.Event(p, corev1.EventTypeWarning, w.reason, w.message)
		}
	})
}
