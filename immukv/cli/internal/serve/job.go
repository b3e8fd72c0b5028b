package serve

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// jobKind is a kind of verification that a user may start.
type jobKind string

const (
	verifyJob jobKind = "verify"
	auditJob  jobKind = "audit"
)

// jobs runs verifications, one at a time: each reads the whole log, and its result is the
// same for all users. It continues when the page that started it is closed.
type jobs struct {
	s *Server

	mu      sync.Mutex
	running *job
	last    *job // that ended last
	closed  bool // none begins any more
	wg      sync.WaitGroup
}

// job is a verification. The fields below the lock of jobs change while it runs.
type job struct {
	kind    jobKind
	started time.Time
	cancel  context.CancelFunc

	done, total int64
	ended       time.Time
	stopped     bool
	report      *immukv.Report
	checkpoint  tlog.Checkpoint // if sealErr is nil and the log has a verifier
	sealed      bool            // the log was compared with its checkpoint
	sealErr     error
	err         error // why there is no report
}

func newJobs(s *Server) *jobs { return &jobs{s: s} }

// start begins a verification unless one is running.
func (j *jobs) start(kind jobKind) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running != nil || j.closed {
		return
	}
	ctx, cancel := context.WithCancel(j.s.ctx)
	run := &job{kind: kind, started: time.Now(), cancel: cancel}
	j.running = run
	j.wg.Go(func() {
		defer cancel()
		j.run(ctx, run)
	})
}

func (j *jobs) run(ctx context.Context, run *job) {
	progress := immukv.Progress(func(done, total int64) {
		j.mu.Lock()
		defer j.mu.Unlock()
		run.done, run.total = done, total
	})
	var report *immukv.Report
	var checkpoint tlog.Checkpoint
	var err, sealErr error
	sealed := false
	switch {
	case run.kind == verifyJob:
		report, err = j.s.whole.VerifyLog(ctx, progress)
	case j.s.Verifier == nil:
		report, err = j.s.whole.Audit(ctx, progress)
	default:
		sealed = true
		if report, checkpoint, sealErr = tlog.AuditStore(ctx, j.s.Verifier, j.s.whole, progress); report == nil {
			err, sealErr = sealErr, nil
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	run.ended, run.stopped = time.Now(), ctx.Err() != nil
	run.report, run.checkpoint, run.sealed, run.sealErr, run.err = report, checkpoint, sealed, sealErr, err
	j.running, j.last = nil, run
}

// stop ends the verification that is running.
func (j *jobs) stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running != nil {
		j.running.cancel()
	}
}

// close waits for the verification that is running, whose context has ended.
func (j *jobs) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.wg.Wait()
}

// state returns a copy of the running verification, or else of the last one; nil if there
// was none.
func (j *jobs) state() (run *job, running bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.running != nil:
		run := *j.running
		return &run, true
	case j.last != nil:
		run := *j.last
		return &run, false
	}
	return nil, false
}

func (s *Server) startJob(kind jobKind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.jobs.start(kind)
		http.Redirect(w, r, "/trust#progress", http.StatusSeeOther)
	}
}

func (s *Server) stopJob(w http.ResponseWriter, r *http.Request) {
	s.jobs.stop()
	http.Redirect(w, r, "/trust", http.StatusSeeOther)
}

// progressEvent is the progress of a verification.
type progressEvent struct {
	Kind  jobKind `json:"kind"`
	Done  int64   `json:"done"`
	Total int64   `json:"total"`
	Text  string  `json:"text"`
}

// trustEvents streams the progress of the verification that is running. It ends with it.
func (s *Server) trustEvents(w http.ResponseWriter, r *http.Request) {
	stream := s.openStream(w, r)
	if stream == nil {
		return
	}
	defer stream.close()
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	said := progressEvent{Done: -1}
	for {
		run, running := s.jobs.state()
		if !running {
			stream.send("done", "", struct{}{})
			stream.flush()
			return
		}
		if now := run.progress(); now != said {
			said = now
			stream.send("progress", "", now)
		}
		if stream.flush(); stream.beat() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-stream.ctx.Done():
			return
		}
	}
}

// progress describes the progress of a verification for people.
func (r *job) progress() progressEvent {
	p := progressEvent{Kind: r.kind, Done: r.done, Total: r.total, Text: "It has just begun."}
	if r.total > 0 {
		p.Text = fmt.Sprintf("%s of %s entries read, %d %%", formatNumber(r.done), formatNumber(r.total), 100*r.done/r.total)
		if r.kind == auditJob {
			p.Text += ". An audit reads each entry twice: in the log, and in its key's object."
		}
	}
	return p
}

// Percent returns the progress in percent, for a progress bar.
func (p progressEvent) Percent() int64 { return 100 * p.Done / max(p.Total, 1) }
