package conformance

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"pgregory.net/rapid"
)

// drawn has rapid check a property outside of a test, and returns what a test
// would have shown. The number of histories and the seed are rapid's flags.
func drawn(name string, property func(*rapid.T)) error {
	v := &verdict{name: name}
	done := make(chan struct{})
	go func() {
		defer close(done) // also after FailNow
		rapid.Check(v, property)
	}()
	<-done
	if !v.failed {
		return nil
	}
	return errors.New(strings.Join(v.lines, "\n"))
}

// verdict is to rapid what a testing.T is: it collects what is said, and ends
// the goroutine when all is said.
type verdict struct {
	name   string
	failed bool
	lines  []string
}

var _ rapid.TB = (*verdict)(nil)

func (v *verdict) Helper()      {}
func (v *verdict) Name() string { return v.name }

func (v *verdict) Log(args ...any) {
	v.lines = append(v.lines, strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
}
func (v *verdict) Logf(format string, args ...any) {
	v.lines = append(v.lines, fmt.Sprintf(format, args...))
}

func (v *verdict) Error(args ...any) { v.Log(args...); v.Fail() }
func (v *verdict) Errorf(format string, args ...any) {
	v.Logf(format, args...)
	v.Fail()
}
func (v *verdict) Fatal(args ...any) { v.Log(args...); v.FailNow() }
func (v *verdict) Fatalf(format string, args ...any) {
	v.Logf(format, args...)
	v.FailNow()
}

func (v *verdict) Skip(args ...any)                 { v.Log(args...); v.SkipNow() }
func (v *verdict) Skipf(format string, args ...any) { v.Logf(format, args...); v.SkipNow() }
func (v *verdict) SkipNow()                         { runtime.Goexit() }

func (v *verdict) Fail()        { v.failed = true }
func (v *verdict) FailNow()     { v.failed = true; runtime.Goexit() }
func (v *verdict) Failed() bool { return v.failed }
