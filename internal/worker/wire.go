package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// protocolVersion changes with every change of a message; both ends are the same
// binary, so a mismatch means that a command was started by hand.
const protocolVersion = 1

// The messages. A frame is a big-endian u32 that counts the body, one op byte,
// and the body: uvarints and uvarint-prefixed bytes.
const (
	opSetup  byte = 1  // parent: limits and layers, before the sandbox
	opJob    byte = 2  // parent
	opAnswer byte = 3  // parent
	opHello  byte = 16 // worker: the sandbox stands
	opLook   byte = 17 // worker
	opList   byte = 18 // worker
	opDone   byte = 19 // worker
)

const (
	headerSize = 5
	// maxRequest bounds every frame of a worker except its result.
	maxRequest = 64 << 10
	// maxFromParent bounds what a worker accepts. The parent is trusted; the
	// bound keeps a broken stream from looking like a huge frame.
	maxFromParent = 1 << 30
)

var (
	errMalformed = errors.New("malformed message")
	errTooBig    = errors.New("message over its limit")
)

// enc builds one frame.
type enc struct{ b []byte }

func newFrame(op byte, sizeHint int) *enc {
	e := &enc{b: make([]byte, headerSize, headerSize+sizeHint)}
	e.b[4] = op
	return e
}

func (e *enc) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

func (e *enc) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

func (e *enc) bytes(v []byte) {
	e.uint(uint64(len(v)))
	e.b = append(e.b, v...)
}

func (e *enc) str(v string) {
	e.uint(uint64(len(v)))
	e.b = append(e.b, v...)
}

// frame closes the frame; the encoder is not used after it.
func (e *enc) frame() ([]byte, error) {
	n := len(e.b) - headerSize
	if int64(n) > maxFromParent {
		return nil, fmt.Errorf("encode a frame of %d bytes: %w", n, errTooBig)
	}
	binary.BigEndian.PutUint32(e.b, uint32(n))
	return e.b, nil
}

// readFrame reads one frame. limit gives the longest body for an op, and a
// negative number for an op that must not come. Memory grows with what arrives,
// not with what the header claims.
func readFrame(r io.Reader, limit func(op byte) int64) (byte, []byte, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	op, n := h[4], int64(binary.BigEndian.Uint32(h[:]))
	most := limit(op)
	if most < 0 {
		return op, nil, fmt.Errorf("op %d: %w", op, errMalformed)
	}
	if n > most {
		return op, nil, fmt.Errorf("op %d with %d bytes: %w", op, n, errTooBig)
	}
	if n <= maxRequest {
		body := make([]byte, n)
		_, err := io.ReadFull(r, body)
		return op, body, noEOF(err)
	}
	var buf bytes.Buffer
	_, err := io.CopyN(&buf, r, n)
	return op, buf.Bytes(), noEOF(err)
}

// noEOF keeps a stream that ends inside a frame from looking like a clean end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// dec takes a body apart. After the first violation every read returns zero and
// done reports it.
type dec struct {
	b   []byte
	bad bool
}

func (d *dec) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *dec) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *dec) bool() bool {
	v := d.byte()
	if v > 1 {
		d.fail()
	}
	return v == 1
}

// bytes returns a part of the body, not a copy.
func (d *dec) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *dec) str() string { return string(d.bytes()) }

func (d *dec) path() string {
	p := d.str()
	if !validPath(p) {
		d.fail()
	}
	return p
}

func (d *dec) kind() Kind {
	k := Kind(d.byte())
	if k >= kinds {
		d.fail()
	}
	return k
}

// count reads the length of a list whose elements take at least size bytes each,
// so that a list cannot claim more elements than the body could hold.
func (d *dec) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *dec) fail() {
	d.bad = true
	d.b = nil
}

// done reports a violation or bytes left over.
func (d *dec) done() error {
	if d.bad || len(d.b) > 0 {
		return errMalformed
	}
	return nil
}
