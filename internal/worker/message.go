package worker

// setup is the first frame to a worker, before its sandbox stands.
type setup struct {
	version    uint64
	heap, data uint64 // bytes
	cpu        uint64 // seconds
	output     uint64 // bytes
	kill       bool
	skip       layerSet
}

func (m setup) frame() ([]byte, error) {
	e := newFrame(opSetup, 64)
	for _, v := range [...]uint64{m.version, m.heap, m.data, m.cpu, m.output} {
		e.uint(v)
	}
	e.bool(m.kill)
	e.uint(uint64(m.skip))
	return e.frame()
}

func parseSetup(b []byte) (setup, error) {
	d := dec{b: b}
	m := setup{version: d.uint(), heap: d.uint(), data: d.uint(), cpu: d.uint(), output: d.uint(), kill: d.bool()}
	skip := d.uint()
	if skip > 0xff {
		d.fail()
	}
	m.skip = layerSet(skip)
	return m, d.done()
}

// hello says which layers stand.
type hello struct {
	version uint64
	layers  Layers
}

func (m hello) frame() ([]byte, error) {
	e := newFrame(opHello, 32)
	e.uint(m.version)
	e.bool(m.layers.Seccomp)
	e.uint(uint64(m.layers.Landlock))
	e.bool(m.layers.Namespaces)
	e.bool(m.layers.PID)
	e.uint(uint64(m.layers.UID))
	e.bool(m.layers.Limits)
	return e.frame()
}

func parseHello(b []byte) (hello, error) {
	d := dec{b: b}
	m := hello{version: d.uint()}
	m.layers.Seccomp = d.bool()
	m.layers.Landlock = d.small()
	m.layers.Namespaces = d.bool()
	m.layers.PID = d.bool()
	m.layers.UID = d.small()
	m.layers.Limits = d.bool()
	return m, d.done()
}

// small reads a number that fits every int.
func (d *dec) small() int {
	v := d.uint()
	if v > 1<<31-1 {
		d.fail()
		return 0
	}
	return int(v)
}

// listing is a directory and all that is in it. A path below it that is not
// among its entries does not exist, so no question about it is needed. Entries
// whose real path is not real/name have a fact of their own beside it.
type listing struct {
	dir, real string
	entries   []Entry
}

// knowledge is what the parent tells beyond what was asked.
type knowledge struct {
	facts    []Fact
	complete []listing
}

func (k knowledge) size() int {
	n := 16
	for _, f := range k.facts {
		n += len(f.Path) + len(f.Real) + len(f.Data) + 16
	}
	for _, l := range k.complete {
		n += len(l.dir) + len(l.real) + 16
		for _, e := range l.entries {
			n += len(e.Name) + 4
		}
	}
	return n
}

func (e *enc) fact(f Fact) {
	e.str(f.Path)
	e.b = append(e.b, byte(f.Kind))
	e.str(f.Real)
	e.bool(f.Has)
	if f.Has {
		e.bytes(f.Data)
	}
}

func (d *dec) fact() Fact {
	f := Fact{Path: d.path(), Kind: d.kind(), Real: d.str(), Has: d.bool()}
	if f.Has {
		f.Data = d.bytes()
	}
	return f
}

func (e *enc) knowledge(k knowledge) {
	e.uint(uint64(len(k.facts)))
	for _, f := range k.facts {
		e.fact(f)
	}
	e.uint(uint64(len(k.complete)))
	for _, l := range k.complete {
		e.str(l.dir)
		e.str(l.real)
		e.uint(uint64(len(l.entries)))
		for _, en := range l.entries {
			e.str(en.Name)
			e.b = append(e.b, byte(en.Kind))
		}
	}
}

func (d *dec) knowledge() knowledge {
	var k knowledge
	const leastFact, leastListing, leastEntry = 4, 3, 2
	for n := d.count(leastFact); n > 0 && !d.bad; n-- {
		k.facts = append(k.facts, d.fact())
	}
	for n := d.count(leastListing); n > 0 && !d.bad; n-- {
		l := listing{dir: d.path(), real: d.str()}
		for m := d.count(leastEntry); m > 0 && !d.bad; m-- {
			l.entries = append(l.entries, Entry{Name: d.str(), Kind: d.kind()})
		}
		k.complete = append(k.complete, l)
	}
	return k
}

// job is a Job without its files.
type job struct {
	kind    string
	payload []byte
	know    knowledge
}

func (m job) frame() ([]byte, error) {
	e := newFrame(opJob, len(m.kind)+len(m.payload)+m.know.size())
	e.str(m.kind)
	e.bytes(m.payload)
	e.knowledge(m.know)
	return e.frame()
}

func parseJob(b []byte) (job, error) {
	d := dec{b: b}
	m := job{kind: d.str(), payload: d.bytes(), know: d.knowledge()}
	return m, d.done()
}

// answer is what is at the path asked for. To a List its knowledge includes the
// listing if the path is a directory.
type answer struct {
	fact Fact
	know knowledge
}

func (m answer) frame() ([]byte, error) {
	e := newFrame(opAnswer, len(m.fact.Data)+len(m.fact.Path)+len(m.fact.Real)+16+m.know.size())
	e.fact(m.fact)
	e.knowledge(m.know)
	return e.frame()
}

func parseAnswer(b []byte) (answer, error) {
	d := dec{b: b}
	m := answer{fact: d.fact(), know: d.knowledge()}
	return m, d.done()
}

// question is a Look or a List; content means nothing to the latter.
type question struct {
	path    string
	content bool
}

func (m question) frame(op byte) ([]byte, error) {
	e := newFrame(op, len(m.path)+8)
	e.str(m.path)
	e.bool(m.content)
	return e.frame()
}

func parseQuestion(b []byte) (question, error) {
	d := dec{b: b}
	m := question{path: d.path(), content: d.bool()}
	return m, d.done()
}

// done is a job's end. tooBig stands for a payload that was over the limit and
// therefore not sent.
type done struct {
	failed, dirty, tooBig bool
	message               string
	used                  []Use
	payload               []byte
}

func (m done) frame() ([]byte, error) {
	n := len(m.message) + len(m.payload) + 32
	for _, u := range m.used {
		n += len(u.Path) + 8
	}
	e := newFrame(opDone, n)
	e.bool(m.failed)
	e.bool(m.dirty)
	e.bool(m.tooBig)
	e.str(m.message)
	e.uint(uint64(len(m.used)))
	for _, u := range m.used {
		e.str(u.Path)
		e.bool(u.Listed)
		e.bool(u.Content)
	}
	e.bytes(m.payload)
	return e.frame()
}

func parseDone(b []byte) (done, error) {
	d := dec{b: b}
	m := done{failed: d.bool(), dirty: d.bool(), tooBig: d.bool(), message: d.str()}
	const leastUse = 4
	for n := d.count(leastUse); n > 0 && !d.bad; n-- {
		m.used = append(m.used, Use{Path: d.path(), Listed: d.bool(), Content: d.bool()})
	}
	m.payload = d.bytes()
	return m, d.done()
}
