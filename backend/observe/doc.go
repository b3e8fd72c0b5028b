// Package observe records OpenTelemetry traces and metrics of a store and of a client. It
// uses only the API of OpenTelemetry. If the program has no SDK, nothing is recorded.
//
//	store = observe.Wrap(store)
//	db, err := immukv.Open[Calibration](ctx, store, observe.Client())
//
// [Wrap] observes the requests to a store, and [Client] observes the calls of a client.
// Each can be used alone. If both are used, the spans of requests are children of the span
// of their call.
//
// # Spans
//
// Each call has a span: immukv.set, immukv.get, immukv.history and so on. It follows the
// conventions for database clients. Each request has a span: immukv.store.get,
// immukv.store.get_version, immukv.store.head, immukv.store.put, immukv.store.list_versions
// or immukv.store.list_names. The span of a call may have these events:
//
//	immukv.conflict        another writer appended first, and the call retries
//	immukv.repair          the newest entry was an orphan, and the call tried to repair it
//	immukv.answer.settled  the answer to an append was lost, and the call read the log
//
// # Metrics
//
//	db.client.operation.duration   s           calls, by db.operation.name and immukv.outcome
//	immukv.store.request.duration  s           requests, by immukv.store.method, immukv.object and immukv.outcome
//	immukv.append.entries          {entry}     entries in one log version
//	immukv.watch.lag               s           age of entries when a watch yields them, by the clocks of both
//	immukv.conflicts               {conflict}  lost races
//	immukv.repairs                 {repair}    orphans found, by immukv.outcome
//	immukv.answers.settled         {answer}    lost answers, by immukv.outcome: in_log, not_in_log, outcome_unknown
//	immukv.log.head.sequence       {entry}     the newest entry that the client knows
//
// The first four are histograms. The counts of the two durations are the numbers of calls
// and of requests. All metrics but immukv.store.request.duration have the attribute
// db.namespace if the client has a prefix; its value is the prefix.
//
// # Attributes
//
// The attribute immukv.outcome is ok or the kind of the error, such as not_found,
// precondition_failed, outcome_unknown, access_denied or unavailable. Each kind is a
// sentinel of package immukv or backend. Some outcomes are answers, not failures, such as
// not_found, condition_failed and canceled: their spans have no error status. For a
// failure, the attribute error.type has the same value as immukv.outcome. The attribute
// immukv.object says what a request is about: the log, a key object, the transparency log
// or another object.
//
// Values, credentials of the store, and the texts of errors, which may quote values, are
// never recorded. Keys and the names of objects are recorded only with [WithKeys].
package observe
