package tlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Witness is a server that cosigns the checkpoints of a log if the log has only grown
// (C2SP tlog-witness).
type Witness struct {
	// Verifier checks the cosignatures of the witness.
	Verifier note.Verifier
	// URL is the base URL of the witness's add-checkpoint. A policy for reading needs
	// none.
	URL string
}

// WitnessPolicy requires cosignatures from a number of witnesses. A nil policy requires
// none. Do not change a policy that is in use.
type WitnessPolicy struct {
	Witnesses []Witness
	// Quorum is how many of them must cosign.
	Quorum int
	// Timeout limits how long Seal waits for a witness. Zero means 10 seconds.
	Timeout time.Duration
	// Client sends the requests. Nil means the package's own client.
	Client *http.Client
}

const (
	defaultWitnessTimeout = 10 * time.Second
	maxWitnesses          = 64
	maxWitnessAnswer      = 16 << 10
)

// ParseWitnessPolicy reads a policy file, in the format that other tools for
// transparency logs use. Each line is one of
//
//	witness NAME VERIFIER-KEY [URL]
//	group NAME N|any|all WITNESS…
//	quorum NAME|none
//
// The quorum is the name of a witness or of a group. A group of groups is an error. Two
// witnesses with the same key are an error too, because that key would count twice.
// Lines that begin with "log" are skipped: other programs use them. A # begins a
// comment.
func ParseWitnessPolicy(text string) (*WitnessPolicy, error) {
	var parser policyParser
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if err := parser.line(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("witness policy, line %d: %w", number+1, err)
		}
	}
	if parser.policy == nil {
		return nil, errors.New("witness policy: it has no line that begins with quorum")
	}
	return parser.policy, nil
}

type policyParser struct {
	groups map[string]WitnessPolicy // a witness counts as a group of one
	single map[string]bool
	keys   map[string]string // names of witnesses by public key
	policy *WitnessPolicy
}

func (p *policyParser) line(fields []string) error {
	if len(fields) == 0 || fields[0] == "log" {
		return nil
	}
	if p.policy != nil {
		return errors.New("quorum is not the last line")
	}
	switch {
	case fields[0] == "witness" && (len(fields) == 3 || len(fields) == 4):
		return p.witness(fields[1], fields[2], append(fields, "")[3])
	case fields[0] == "group" && len(fields) > 3:
		return p.group(fields[1], fields[2], fields[3:])
	case fields[0] == "quorum" && len(fields) == 2:
		policy, ok := p.groups[fields[1]]
		if !ok && fields[1] != "none" {
			return fmt.Errorf("%q is not the name of a witness or group in an earlier line", fields[1])
		}
		p.policy = &policy
		return nil
	}
	return errors.New("the line does not have one of the forms: witness NAME KEY [URL]; group NAME N|any|all WITNESS…; quorum NAME")
}

func (p *policyParser) define(name string, policy WitnessPolicy) error {
	if _, twice := p.groups[name]; twice || name == "none" {
		return fmt.Errorf("the name %q is used twice", name)
	}
	if p.groups == nil {
		p.groups = make(map[string]WitnessPolicy)
		p.single = make(map[string]bool)
		p.keys = make(map[string]string)
	}
	p.groups[name] = policy
	return nil
}

func (p *policyParser) witness(name, key, address string) error {
	v, err := fnote.NewVerifierForCosignatureV1(key)
	if err != nil {
		return fmt.Errorf("%w of witness %s: %w", ErrInvalidKey, name, err)
	}
	if u, err := url.Parse(address); err != nil || address != "" && u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("the URL of witness %s does not begin with http:// or https://", name)
	}
	if len(p.single) >= maxWitnesses {
		return fmt.Errorf("there are more than %d witnesses", maxWitnesses)
	}
	if err := p.define(name, WitnessPolicy{Witnesses: []Witness{{Verifier: v, URL: address}}, Quorum: 1}); err != nil {
		return err
	}
	p.single[name] = true
	public := publicKey(key)
	if other, twice := p.keys[public]; twice {
		return fmt.Errorf("the witnesses %s and %s have the same key", other, name)
	}
	p.keys[public] = name
	return nil
}

// publicKey returns the public key in a valid verifier key, name+hash+key, without the
// byte for the algorithm.
func publicKey(verifierKey string) string {
	parts := strings.SplitN(verifierKey, "+", 3) // base64 also has plus signs
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(key) == 0 {
		return verifierKey
	}
	return string(key[1:])
}

func (p *policyParser) group(name, number string, members []string) error {
	var g WitnessPolicy
	seen := make(map[string]bool)
	for _, member := range members {
		if !p.single[member] || seen[member] {
			return fmt.Errorf("%q is not a witness in an earlier line, or is named twice", member)
		}
		seen[member] = true
		g.Witnesses = append(g.Witnesses, p.groups[member].Witnesses...)
	}
	switch number {
	case "any":
		g.Quorum = 1
	case "all":
		g.Quorum = len(members)
	default:
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > len(members) {
			return fmt.Errorf("%q is not a number from 1 to %d", number, len(members))
		}
		g.Quorum = n
	}
	return p.define(name, g)
}

// check returns an error unless enough witnesses cosigned.
func (p *WitnessPolicy) check(signed []byte) error {
	if p == nil {
		return nil
	}
	have := 0
	for _, w := range p.Witnesses {
		if w.cosigned(signed) {
			have++
		}
	}
	if have < p.Quorum {
		return fmt.Errorf("%w: %d of the %d that the policy requires", ErrWitnesses, have, p.Quorum)
	}
	return nil
}

func (w Witness) cosigned(signed []byte) bool {
	n, err := note.Open(signed, note.VerifierList(w.Verifier))
	return err == nil && len(n.Sigs) > 0
}

// cosign sends the checkpoint to all witnesses at once and returns it with the
// cosignatures received. hashes reads the new tree, for the proofs that it extends what a
// witness has cosigned. before is the size that a witness most likely cosigned last.
func (p *WitnessPolicy) cosign(ctx context.Context, c Checkpoint, before int64, hashes tlog.HashReader) ([]byte, error) {
	if p == nil {
		return c.Signed, nil
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultWitnessTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lines := make([]string, len(p.Witnesses))
	errs := make([]error, len(p.Witnesses))
	// The proofs read tiles. Only one goroutine at a time may do that.
	var mu sync.Mutex
	prove := func(old int64) (tlog.TreeProof, error) {
		mu.Lock()
		defer mu.Unlock()
		return tlog.ProveTree(c.Size, old, hashes)
	}
	var asked sync.WaitGroup
	for i, w := range p.Witnesses {
		asked.Go(func() {
			lines[i], errs[i] = w.cosign(ctx, p.client(), c, before, prove)
			if errs[i] != nil {
				errs[i] = fmt.Errorf("witness %s: %w", w.Verifier.Name(), errs[i])
			}
		})
	}
	asked.Wait()
	signed := bytes.Clone(c.Signed)
	for _, line := range lines {
		signed = append(signed, line...)
	}
	if err := p.check(signed); err != nil {
		return nil, errors.Join(append([]error{err}, p.weigh(errs)...)...)
	}
	return signed, nil
}

// claimError is a witness's claim against the log, which it does not prove.
type claimError struct {
	kind error // ErrFork or ErrRolledBack
	text string
}

func (e *claimError) Error() string { return e.kind.Error() + ": " + e.text }
func (e *claimError) Unwrap() error { return e.kind }

// weigh reports errors of witnesses as ErrFork or ErrRolledBack only if the remaining
// witnesses cannot make a quorum. Otherwise one faulty or lying witness could stop a
// sealer while others are unavailable for a while.
func (p *WitnessPolicy) weigh(errs []error) []error {
	claims := 0
	for _, err := range errs {
		if _, ok := errors.AsType[*claimError](err); ok {
			claims++
		}
	}
	if claims > len(p.Witnesses)-p.Quorum {
		return errs
	}
	for i, err := range errs {
		if _, ok := errors.AsType[*claimError](err); ok {
			errs[i] = errors.New(err.Error())
		}
	}
	return errs
}

// defaultClient follows no redirects: a witness answers at the URL of the policy.
var defaultClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (p *WitnessPolicy) client() *http.Client {
	if p.Client != nil {
		return p.Client
	}
	return defaultClient
}

// maxWitnessTries is how often a request to one witness is repeated: the witness may have
// cosigned another size than expected, and may cosign yet another before it gets the
// proof.
const maxWitnessTries = 3

// cosign sends the checkpoint to one witness and returns the line of its cosignature.
func (w Witness) cosign(ctx context.Context, client *http.Client, c Checkpoint, old int64, prove func(int64) (tlog.TreeProof, error)) (string, error) {
	if w.URL == "" {
		return "", errors.New("the policy has no URL for the witness")
	}
	for range maxWitnessTries {
		var proof tlog.TreeProof
		var err error
		if old > 0 && old < c.Size {
			if proof, err = prove(old); err != nil {
				return "", err
			}
		}
		line, seen, err := w.post(ctx, client, c, old, proof)
		if err != nil || line != "" {
			return line, err
		}
		if seen > c.Size {
			return "", &claimError{ErrRolledBack, fmt.Sprintf("it has cosigned a log of %d entries, but this one has %d", seen, c.Size)}
		}
		old = seen
	}
	return "", errors.New("the size that it has cosigned changes with every request")
}

// post sends a checkpoint. It returns the line of the cosignature, or else the size that
// the witness cosigned last.
func (w Witness) post(ctx context.Context, client *http.Client, c Checkpoint, old int64, proof tlog.TreeProof) (line string, seen int64, err error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintf(&body, "%s\n", h)
	}
	fmt.Fprintf(&body, "\n%s", c.Signed)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", &body)
	if err != nil {
		return "", 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxWitnessAnswer+1))
	switch {
	case err != nil:
		return "", 0, err
	case len(answer) > maxWitnessAnswer:
		return "", 0, fmt.Errorf("its answer has more than %d bytes", maxWitnessAnswer)
	case resp.StatusCode == http.StatusConflict:
		seen, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if err != nil || seen < 0 {
			return "", 0, errors.New("it answered 409 without the size that it has cosigned")
		}
		if seen == old {
			return "", 0, &claimError{ErrFork, fmt.Sprintf("it has cosigned another tree of size %d", seen)}
		}
		return "", seen, nil
	case resp.StatusCode == http.StatusUnprocessableEntity:
		return "", 0, &claimError{ErrFork, fmt.Sprintf("it claims that the log does not extend the %d entries that it has cosigned", old)}
	case resp.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("it answered %s", resp.Status)
	}
	line, err = w.pick(c.Signed, string(answer))
	return line, 0, err
}

// pick returns the line of an answer with the witness's cosignature of the checkpoint.
func (w Witness) pick(signed []byte, answer string) (string, error) {
	for line := range strings.Lines(answer) {
		if _, err := parseSignature(line); err == nil && w.cosigned(append(bytes.Clone(signed), line...)) {
			return line, nil
		}
	}
	return "", errors.New("its answer has no valid cosignature of this checkpoint")
}
