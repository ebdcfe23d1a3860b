package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attackThreads is on how many threads at once an attack is tried in a worker: a
// wall that stands around one thread only is none.
const attackThreads = 4

// attackHandler performs an attack and returns the error number it met, 0 if it
// went through on any thread.
func attackHandler(_ Files, payload []byte) ([]byte, error) {
	var s scene
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, err
	}
	barrier, results := make(chan struct{}), make(chan error)
	for range attackThreads {
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			<-barrier
			results <- perform(s)
		}()
	}
	close(barrier)
	errno, text := syscall.Errno(0), "it works"
	for i := range attackThreads {
		err := <-results
		var got syscall.Errno
		if err != nil && !errors.As(err, &got) {
			return nil, fmt.Errorf("not a system call's error: %w", err)
		}
		if i == 0 || got == 0 {
			errno = got
			if err != nil {
				text = err.Error()
			}
		}
	}
	return fmt.Appendf(nil, "%d %s", int(errno), text), nil
}

// attackUnconfined is the control: the attack in a process without walls.
func attackUnconfined(payload string) int {
	var s scene
	err := json.Unmarshal([]byte(payload), &s)
	if err == nil {
		runtime.LockOSThread()
		err = perform(s)
	}
	if err != nil {
		fmt.Fprint(os.Stderr, err)
		return 1
	}
	return 0
}

// victimSecret is what the victim holds in memory.
var victimSecret = [8]byte{'s', 'e', 'c', 'r', 'e', 't'}

// beVictim says where the secret is and waits to be left alone.
func beVictim() int {
	fmt.Printf("%d\n", uintptr(unsafe.Pointer(&victimSecret)))
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// newScene opens what can be attacked.
func newScene(t *testing.T) scene {
	t.Helper()
	s := scene{Abstract: "davit-" + strconv.Itoa(os.Getpid()) + "-" + strings.ReplaceAll(t.Name(), "/", "-")}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { tcp.Close() })
	s.Port = tcp.Addr().(*net.TCPAddr).Port
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { udp.Close() })
	s.UDP = udp.LocalAddr().(*net.UDPAddr).Port
	dir, err := os.MkdirTemp("", "w")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	s.Unix = filepath.Join(dir, "s")
	for _, name := range []string{s.Unix, "@" + s.Abstract} {
		l, err := net.Listen("unix", name)
		must(t, err)
		t.Cleanup(func() { l.Close() })
	}
	must(t, os.Chmod(s.Unix, 0o777))
	cmd := exec.Command("/proc/self/exe", victimArg)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	s.Pid = cmd.Process.Pid
	_, err = fmt.Fscanln(out, &s.Addr)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// aim gives the scene a fresh directory for one try.
func (s scene) aim(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	must(t, os.WriteFile(dir+"/file", []byte("content"), 0o666))
	must(t, os.Chmod(dir+"/file", 0o666))
	s.Name, s.Dir = name, dir
	b, err := json.Marshal(s)
	must(t, err)
	return b
}

func TestAttacksWorkWithoutTheSandbox(t *testing.T) {
	s := newScene(t)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", attackArg, string(s.aim(t, a.name)))
			cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // else the race detector sleeps a second
			out, err := cmd.CombinedOutput()
			if err != nil && a.optional {
				t.Logf("this kernel has none of it: %s", out)
			} else if err != nil {
				t.Fatalf("the attack proves nothing, it fails without a sandbox: %v: %s", err, out)
			}
		})
	}
}

// tryAttack returns the errno an attack met in a worker of p.
func tryAttack(t *testing.T, p *Pool, s scene, name string) (syscall.Errno, string) {
	t.Helper()
	res, err := p.Run(context.Background(), Job{Kind: "attack", Payload: s.aim(t, name)})
	must(t, err)
	num, text, _ := strings.Cut(string(res.Payload), " ")
	n, err := strconv.Atoi(num)
	must(t, err)
	return syscall.Errno(n), text
}

func TestSandboxStopsEveryAttack(t *testing.T) {
	s := newScene(t)
	p := newPool(t, Options{Workers: 1})
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			want := a.want
			if want == 0 {
				want = unix.EPERM
			}
			if got, text := tryAttack(t, p, s, a.name); got != want {
				t.Fatalf("got %v (%s), want %v", got, text, want)
			}
		})
	}
}

func TestEachLayerStopsItsAttacks(t *testing.T) {
	s := newScene(t)
	only := map[string]layerSet{
		"landlock":   noSeccomp | noNamespaces | noLimits,
		"namespaces": noSeccomp | noLandlock | noLimits,
	}
	for name, skip := range only {
		p := newPool(t, Options{Workers: 1, skip: skip})
		l, err := p.Layers(context.Background())
		must(t, err)
		t.Logf("%s alone: %+v", name, l)
		if l.Seccomp || (name == "landlock") != (l.Landlock > 0) || (name == "namespaces") != l.Namespaces {
			t.Fatalf("%s alone: the worker reports %+v", name, l)
		}
		for _, a := range attacks {
			stops := name == "landlock" && a.landlock > 0 && a.landlock <= l.Landlock || name == "namespaces" && a.namespaces
			if !stops || name == "namespaces" && pidNamespace == 0 && ofProcess(a) {
				continue
			}
			t.Run(name+"/"+a.name, func(t *testing.T) {
				if got, _ := tryAttack(t, p, s, a.name); got == 0 {
					t.Fatalf("%s alone does not stop it", name)
				}
			})
		}
	}
}

// ofProcess reports whether an attack needs to see another process, which only a
// process namespace prevents.
func ofProcess(a attack) bool {
	return slices.ContainsFunc(processAttacks, func(b attack) bool { return a.name == b.name })
}

func TestKillModeEndsEveryAttack(t *testing.T) {
	s := newScene(t)
	p := newPool(t, Options{KillOnDenied: true})
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			_, err := p.Run(context.Background(), Job{Kind: "attack", Payload: s.aim(t, a.name)})
			var d *Death
			if a.survives {
				must(t, err)
			} else if !errors.As(err, &d) || d.Class != Sandbox {
				t.Fatalf("got %v, want a death of class sandbox", err)
			}
		})
	}
}
