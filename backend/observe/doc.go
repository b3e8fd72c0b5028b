// Package observe makes OpenTelemetry's traces and metrics of what a store and a
// client do. It uses the API of OpenTelemetry alone: without an SDK in the program,
// and in programs that do not import this package, it records nothing.
//
//	store = observe.Wrap(store)
//	db, err := immukv.Open[Calibration](ctx, store, observe.Client())
//
// [Wrap] observes the requests to a store, [Client] the calls of a client. Each is of
// use alone; together, the requests that a call makes are children of its span.
//
// # Spans
//
// A call is a span immukv.set, immukv.get, immukv.history, …, by the conventions for
// database clients. A request is a span immukv.store.get, immukv.store.get_version,
// immukv.store.head, immukv.store.put, immukv.store.list_versions or
// immukv.store.list_names. Within a call there may be the events
//
//	immukv.conflict        another writer's entry came first, and the call tries again
//	immukv.repair          the newest entry was an orphan, and was repaired or not
//	immukv.answer.settled  the answer of an append was lost, and the log was asked
//
// # Metrics
//
//	db.client.operation.duration   s           calls, by db.operation.name and immukv.outcome
//	immukv.store.request.duration  s           requests, by immukv.store.method, immukv.object and immukv.outcome
//	immukv.append.entries          {entry}     entries that went into one log version
//	immukv.watch.lag               s           age of entries when a watch yields them, by the clocks of both
//	immukv.conflicts               {conflict}  lost races
//	immukv.repairs                 {repair}    orphans found, by immukv.outcome
//	immukv.answers.settled         {answer}    lost answers, by immukv.outcome: in_log, not_in_log, outcome_unknown
//	immukv.log.head.sequence       {entry}     the newest entry that the client knows of
//
// The first four are histograms; the counts of the two durations are those of the calls
// and the requests. All but immukv.store.request.duration have db.namespace, the prefix of the
// client, where it has one.
//
// # Attributes
//
// The attribute immukv.outcome is ok or what the error was: not_found,
// precondition_failed, outcome_unknown, access_denied, unavailable and so on, each the
// sentinel of package immukv or backend. What is an answer and no failure, such as
// not_found, condition_failed, or canceled, is no error of the span; of anything else
// error.type is the same word. The attribute immukv.object says whether a request is
// about the log, a key object, the transparency log or another object.
//
// No value is recorded, no text of an error, which may quote one, and nothing of the
// store's credentials; nor is a key or the name of an object, unless [WithKeys] asks
// for them.
package observe
