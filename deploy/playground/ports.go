package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// port is a free TCP port on 127.0.0.1, kept from everybody but processes of
// this user that ask to share it (SO_REUSEPORT). Nothing listens on it yet, so
// no connection is lost between this process and the component it is for.
type port struct {
	number int
	socket int
}

func reservePort() (port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return port{}, fmt.Errorf("reserving a port: %w", err)
	}
	unix.CloseOnExec(socket)
	number, err := bindShared(socket)
	if err != nil {
		_ = unix.Close(socket)
		return port{}, fmt.Errorf("reserving a port: %w", err)
	}
	return port{number: number, socket: socket}, nil
}

func bindShared(socket int) (int, error) {
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	return address.(*unix.SockaddrInet4).Port, nil
}

func (p port) release() {
	if p.number != 0 {
		_ = unix.Close(p.socket)
	}
}

func (p port) String() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }
