package fake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// The headers of a delivery.
const (
	HeaderID        = "X-Fake-Delivery"
	HeaderEvent     = "X-Fake-Event"
	HeaderSignature = "X-Fake-Signature"
)

type delivery struct {
	header  map[string]string
	body    []byte
	tried   time.Time
	arrived bool
}

// Sign is the signature of a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Deliver sends an event, once.
func (f *Forge) Deliver(e gitops.Event) {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // an event is made of text, numbers and a time
	}
	f.mu.Lock()
	f.last++
	d := &delivery{body: body, header: map[string]string{HeaderID: fmt.Sprintf("delivery-%d", f.last), HeaderEvent: string(e.Kind)}}
	if len(f.options.Secrets) > 0 {
		d.header[HeaderSignature] = Sign(f.options.Secrets[0], body)
	}
	f.deliveries = append(f.deliveries, d)
	f.mu.Unlock()
	f.send(d)
}

func (f *Forge) send(d *delivery) {
	f.sending.Lock()
	defer f.sending.Unlock()
	arrived := f.options.Receive != nil && f.options.Receive(func(name string) string { return d.header[name] }, d.body)
	f.mu.Lock()
	defer f.mu.Unlock()
	d.tried, d.arrived = f.options.Now(), arrived
}

// Redeliver sends again what did not arrive and is not just being sent.
func (f *Forge) Redeliver(ctx context.Context, since time.Time) (count int, err error) {
	var lost []*delivery
	err = f.call(ctx, "Redeliver", "redeliver what did not arrive", func() error {
		for _, d := range f.deliveries {
			if !d.arrived && !d.tried.Before(since) && f.options.Now().Sub(d.tried) >= time.Minute {
				lost = append(lost, d)
			}
		}
		return nil
	})
	for _, d := range lost {
		f.send(d)
	}
	return len(lost), err
}

// Verify holds a delivery to its signature.
func (f *Forge) Verify(header func(name string) string, body []byte) (id, event string, err error) {
	for _, secret := range f.options.Secrets {
		if secret != "" && hmac.Equal([]byte(header(HeaderSignature)), []byte(Sign(secret, body))) {
			if id, event = header(HeaderID), header(HeaderEvent); id == "" || event == "" {
				return "", "", &forge.Error{Class: forge.Refused, Doing: "verify a delivery", Err: errors.New("it has no id or no kind")}
			}
			return id, event, nil
		}
	}
	return "", "", &forge.Error{Class: forge.Forbidden, Doing: "verify a delivery", Err: errors.New("the signature does not match")}
}

// Event reads a delivery.
func (f *Forge) Event(event string, body []byte) (e gitops.Event, err error) {
	switch gitops.EventKind(event) {
	case gitops.Changed, gitops.Commented, gitops.Pushed, gitops.Connected:
	default:
		return gitops.Event{}, nil
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return gitops.Event{}, &forge.Error{Class: forge.Refused, Doing: "read a delivery", Err: err}
	}
	return e, nil
}
