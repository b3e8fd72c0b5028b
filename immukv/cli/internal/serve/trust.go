package serve

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/tlog"
)

// maxOrphanChecks is how many entries of the newest log version are checked. A batch may
// have a thousand; an audit checks all of them.
const maxOrphanChecks = 32

type trustBody struct {
	Head        *entryView // the newest entry; nil if the log is empty
	HeadProblem string

	Checkpoint        *checkpointView
	NotSealed         bool
	CheckpointProblem string
	Unsealed          int64 // entries that the checkpoint does not cover
	HasVerifier       bool

	Orphans       []orphanView
	OrphanProblem string
	Unchecked     int // entries of the newest log version that were not checked

	Running  bool
	Kind     jobKind
	Progress progressEvent
	Report   *reportView
}

type orphanView struct {
	Key      string
	KeyURL   string
	Sequence int64
}

// reportView is the result of the verification that ended last.
type reportView struct {
	Kind        jobKind
	Ended       time.Time
	Took        time.Duration
	Stopped     bool
	Problem     string // why there is no result
	Valid       bool
	Entries     int64
	First, Last int64
	Complete    bool
	Head        string
	Dialects    string
	Findings    []findingView
	More        int64
	Sealed      bool
	SealProblem string
	SealMeaning string
	Size        int64 // of the checkpoint that the log was compared with
}

// findingView is a finding with what it means.
type findingView struct {
	Kind     string
	Object   string
	Version  string
	Sequence int64 // -1 if it is about none
	LogURL   string
	Detail   string
	Meaning  string
}

// trustPage answers with the page about the trust in the store. Its parts are read
// concurrently. A part that cannot be read does not affect the others.
func (s *Server) trustPage(r *http.Request) (*response, error) {
	body := trustBody{HasVerifier: s.Verifier != nil}
	var reads sync.WaitGroup
	reads.Go(func() { s.readHead(r.Context(), &body) })
	reads.Go(func() { s.readCheckpoint(r.Context(), &body) })
	reads.Wait()
	if body.Head != nil && body.Checkpoint != nil {
		body.Unsealed = max(0, body.Head.Sequence+1-body.Checkpoint.Size)
		s.readCovered(r.Context(), &body)
	}
	p := page{Title: "Trust", At: "trust", Script: "trust"}
	if run, running := s.jobs.state(); run != nil {
		body.Running = running
		if running {
			p.Refresh = 3
			body.Kind, body.Progress = run.kind, run.progress()
		} else {
			body.Report = newReportView(run)
			p.Title = body.Report.title() + " – Trust"
		}
	}
	p.Body = body
	// The forms are sent with their origin, by which the server recognises a form of
	// another site. With no-referrer it would be null.
	answer, err := s.show(http.StatusOK, "trust", p)
	if err == nil {
		answer.header = http.Header{"Referrer-Policy": {"same-origin"}}
	}
	return answer, err
}

// readHead reads the newest entry, and whether the entries of its log version are
// orphans.
func (s *Server) readHead(ctx context.Context, body *trustBody) {
	for e, err := range s.db.Log(ctx, immukv.Limit(1)) {
		if err != nil {
			body.HeadProblem = s.problemOf(err).title + ": " + err.Error()
			body.OrphanProblem = "The newest entry could not be read, or cannot be trusted."
		}
		if e.VersionID == "" {
			return
		}
		view := newEntryView(e, err, 0)
		body.Head = &view
		if err == nil {
			s.readOrphans(ctx, body, e.VersionID)
		}
	}
}

func (s *Server) readOrphans(ctx context.Context, body *trustBody, id immukv.LogVersionID) {
	entries, err := s.db.LogVersion(ctx, id)
	if err != nil {
		body.OrphanProblem = err.Error()
		return
	}
	if n := len(entries); n > maxOrphanChecks {
		body.Unchecked = n - maxOrphanChecks
		entries = entries[body.Unchecked:]
	}
	for _, e := range entries {
		at, err := s.db.Get(ctx, e.Key)
		switch {
		case err != nil:
			body.OrphanProblem = err.Error()
		case at.KeyVersionID == "" && at.Sequence == e.Sequence: // it is only in the log
			body.Orphans = append(body.Orphans, orphanView{e.Key, keyURL(e.Key), e.Sequence})
		}
	}
}

func (s *Server) readCheckpoint(ctx context.Context, body *trustBody) {
	c, err := s.checkpoint(ctx)
	switch {
	case errors.Is(err, tlog.ErrNoCheckpoint):
		body.NotSealed = true
	case err != nil:
		body.CheckpointProblem = s.problemOf(err).title + ": " + err.Error()
	default:
		body.Checkpoint = c
	}
}

// maxCoveredBack is how far back the newest sealed entry is searched for: one page of the
// listing, because the last seal may be long ago.
const maxCoveredBack = 1000

// readCovered reads the time of the newest entry that the checkpoint covers.
func (s *Server) readCovered(ctx context.Context, body *trustBody) {
	if body.Checkpoint.Size == 0 || body.Unsealed > maxCoveredBack {
		return
	}
	if e, err := s.db.EntryAt(ctx, body.Checkpoint.Size-1); err == nil {
		body.Checkpoint.Covered = e.Timestamp
	}
}

// maxShownFindings is the number of bytes of findings after which no more are shown. A
// finding may quote what is in a document.
const maxShownFindings = 256 << 10

func newReportView(run *job) *reportView {
	v := &reportView{Kind: run.kind, Ended: run.ended, Took: run.ended.Sub(run.started).Round(time.Millisecond)}
	if run.err != nil {
		v.Stopped, v.Problem = run.stopped, run.err.Error()
		return v
	}
	r := run.report
	v.Entries, v.First, v.Last, v.Complete, v.Head, v.More = r.Entries, r.FirstSequence, r.LastSequence, r.Complete, string(r.HeadHash), r.MoreFindings
	v.Valid = r.Valid() && run.sealErr == nil
	var dialects []string
	for _, d := range r.Dialects {
		dialects = append(dialects, d.String())
	}
	v.Dialects = strings.Join(dialects, ", ")
	shown := 0
	for _, f := range r.Findings {
		if shown > maxShownFindings {
			v.More++
			continue
		}
		v.Findings = append(v.Findings, newFindingView(f))
		for _, text := range []string{f.Object, string(f.VersionID), f.Detail} {
			shown += min(len(text), maxTextBytes)
		}
	}
	if v.Sealed = run.sealed; run.sealErr != nil {
		v.SealProblem, v.SealMeaning = run.sealErr.Error(), sealMeaning(run.sealErr)
	}
	v.Size = run.checkpoint.Size
	return v
}

// title returns the result in a few words.
func (v *reportView) title() string {
	name := "Verification"
	if v.Kind == auditJob {
		name = "Audit"
	}
	switch {
	case v.Stopped:
		return name + " stopped"
	case v.Problem != "":
		return name + " failed"
	case v.Valid:
		return name + ": valid"
	}
	return name + ": NOT VALID"
}

// Heading returns the title, for the template.
func (v *reportView) Heading() string { return v.title() }
