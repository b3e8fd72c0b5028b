package observe

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv"
)

// outcome is how a call or a request ended: one word of a small vocabulary.
type outcome string

const (
	done    outcome = "ok"
	unnamed outcome = "_OTHER" // the convention for any other error
)

// outcomes are the words for errors. If an error is of several kinds, the first one here
// counts. A kind comes before the kinds that may be its cause.
var outcomes = []struct {
	kind error
	word outcome
	// answer: the outcome is a result, not a failure.
	answer bool
}{
	{immukv.ErrOutcomeUnknown, "outcome_unknown", false},
	{backend.ErrOutcomeUnknown, "outcome_unknown", false},
	{immukv.ErrConflict, "conflict", false},
	{immukv.ErrDiverged, "diverged", false},
	{immukv.ErrLogDeleted, "log_deleted", false},
	{context.Canceled, "canceled", true}, // by the caller, the normal end of a watch
	{immukv.ErrConditionFailed, "condition_failed", true},
	{context.DeadlineExceeded, "deadline_exceeded", false},
	{immukv.ErrReadOnly, "read_only", false},
	{immukv.ErrInvalidOption, "invalid_option", false},
	{immukv.ErrInvalidKey, "invalid_key", false},
	{immukv.ErrInvalidValue, "invalid_value", false},
	{immukv.ErrValueTooLarge, "value_too_large", false},
	{immukv.ErrClosed, "closed", false},
	{immukv.ErrMalformedEntry, "malformed_entry", false},
	{immukv.ErrVerificationFailed, "verification_failed", false},
	{backend.ErrNotFound, "not_found", true},
	{backend.ErrPreconditionFailed, "precondition_failed", true},
	{backend.ErrAccessDenied, "access_denied", false},
	{backend.ErrUnavailable, "unavailable", false},
	{backend.ErrInvalidName, "invalid_name", false},
	{backend.ErrTooLarge, "too_large", false},
	{backend.ErrDamaged, "damaged", false},
	{backend.ErrUnsupported, "unsupported", false},
	{backend.ErrNoCondition, "no_condition", false},
}

// outcomeOf returns the word for an error, and whether it is a failure.
func outcomeOf(err error) (word outcome, failed bool) {
	if err == nil {
		return done, false
	}
	for _, o := range outcomes {
		if errors.Is(err, o.kind) {
			return o.word, !o.answer
		}
	}
	return unnamed, true
}

// outcomeKey is the attribute for the outcome.
const outcomeKey = attribute.Key("immukv.outcome")

// attributes returns the attributes of a metric or an event.
func (o outcome) attributes(failed bool) []attribute.KeyValue {
	attrs := []attribute.KeyValue{outcomeKey.String(string(o))}
	if failed {
		attrs = append(attrs, semconv.ErrorTypeKey.String(string(o)))
	}
	return attrs
}

// endSpan ends a span with an outcome, but without the text of the error, which may quote
// keys and values.
func endSpan(span trace.Span, o outcome, failed bool) {
	if span.IsRecording() {
		span.SetAttributes(o.attributes(failed)...)
		if failed {
			span.SetStatus(codes.Error, string(o))
		}
	}
	span.End()
}
