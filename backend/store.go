package backend

import "context"

// VersionID names one version of one object. It is opaque: compare it and pass it back
// verbatim, but do not interpret it.
type VersionID string

// ETag is the token for conditional writes. It is opaque: exactly as the store returned
// it (S3's includes its quotes), not necessarily a digest, and passed back verbatim.
type ETag string

// Version identifies one version of an object.
type Version struct {
	ID   VersionID
	ETag ETag
	// DeleteMarker is set, in listings only, for a version that marks the
	// object as deleted. Such a version has no body and no ETag. ImmuKV never
	// makes one; it reports those that somebody else made.
	DeleteMarker bool
}

// Object is one version of an object with its body.
type Object struct {
	Version
	// Body belongs to the caller, which may change it.
	Body []byte
}

// MaxNameBytes is the longest object name, in bytes of UTF-8 (S12).
const MaxNameBytes = 1024

// MaxBodyBytes is the largest body, in bytes, that a store writes or reads (S13). A
// larger one is [ErrTooLarge]: a write fails before any effect, and a read before the
// body is in memory.
const MaxBodyBytes = 64 << 20

// MaxPageSize is the largest number of items that a store must be able to return in one
// page.
const MaxPageSize = 1000

// Condition is the condition of a write, made by [IfAbsent] or [IfMatch]. Its zero value
// is neither, and a write under it fails.
type Condition struct {
	etag   ETag
	absent bool
}

// IfAbsent holds if the object has no current version.
func IfAbsent() Condition { return Condition{absent: true} }

// IfMatch holds if the object's current version has the given ETag.
func IfMatch(etag ETag) Condition { return Condition{etag: etag} }

// Absent reports whether the condition is [IfAbsent].
func (c Condition) Absent() bool { return c.absent }

// ETag returns the ETag of an [IfMatch] condition; it is empty for [IfAbsent].
func (c Condition) ETag() ETag { return c.etag }

// Valid reports whether the condition was made by [IfAbsent] or by [IfMatch]
// with a tag that is not empty.
func (c Condition) Valid() bool { return c.absent != (c.etag != "") }

// String returns the condition for error messages and traces.
func (c Condition) String() string {
	switch {
	case !c.Valid():
		return "no condition"
	case c.absent:
		return "if absent"
	default:
		return "if matching " + string(c.etag)
	}
}

// PageToken continues a listing where an earlier page of it ended. It is opaque, and
// valid only for the same listing on the same store.
type PageToken string

// VersionsRequest asks for one page of the versions of an object.
type VersionsRequest struct {
	// After makes the listing begin with the version before (older than) this one, which
	// must be a version of the object; for any other ID the result is an error or an
	// empty page. Empty begins with the newest.
	After VersionID
	// Token continues a listing: the Next of the page before, with the other
	// fields as they were. When it is set, After is ignored.
	Token PageToken
	// Limit is the maximum number of versions to return. Zero, or more than
	// [MaxPageSize], leaves the size of the page to the store.
	Limit int
}

// VersionsPage is one page of a listing of versions, newest first.
type VersionsPage struct {
	Versions []Version
	// Next continues the listing. It is empty on the last page, and only
	// there. A page may be empty and yet have a Next.
	Next PageToken
}

// NamesRequest asks for one page of object names.
type NamesRequest struct {
	// Prefix restricts the listing to names that begin with it, byte by byte.
	Prefix string
	// After makes the listing begin with the first name greater than it. It
	// need not be the name of an object, nor have the prefix.
	After string
	// Token continues a listing: the Next of the page before, with the other
	// fields as they were. When it is set, After is ignored.
	Token PageToken
	// Limit is the maximum number of names to return. Zero, or more than [MaxPageSize],
	// leaves the size of the page to the store.
	Limit int
}

// NamesPage is one page of a listing of names, in byte order.
type NamesPage struct {
	Names []string
	// Next continues the listing. It is empty on the last page, and only
	// there. A page may be empty and yet have a Next.
	Next PageToken
}

// VersionedStore is the interface through which ImmuKV stores its objects. An object is a
// name with a sequence of immutable versions, of which the newest is current. These are
// the clauses that every implementation keeps; the conformance suite tests them under
// these numbers.
//
//	S1   A write under IfAbsent applies only if the object has no current
//	     version.
//	S2   A write under IfMatch applies only if the current version has that
//	     ETag. On an object that does not exist it fails as a failed
//	     precondition, never as a create.
//	S3   Of any number of concurrent writes under the same condition exactly one
//	     applies: across goroutines, processes and endpoints of one store.
//	S4   A successful write returns the new version's ID and ETag, neither empty
//	     nor the placeholder "null".
//	S5   When a write returns success it is durable: a crash of the process or
//	     of the machine right after it loses nothing.
//	S6   A read returns a version completely or not at all.
//	S7   Read after write: once a write has returned, every later read and
//	     listing reflects it or something newer.
//	S8   A version never changes: body, ID and ETag are the same at every read.
//	S9   Two versions of one object never share an ID. Two successive versions
//	     never share an ETag unless their bodies are equal.
//	S10  Versions are listed newest first, each exactly once, over any number of
//	     pages, starting after any version asked for.
//	S11  Names are listed in byte order, each exactly once, over any number of
//	     pages, from any prefix and any starting point.
//	S12  A name is any valid UTF-8 of 1 to MaxNameBytes bytes. Names are compared
//	     byte by byte and never normalised, and none names anything outside the
//	     store. A name that a store cannot hold is ErrInvalidName, without effect.
//	S13  Bodies of 0 to MaxBodyBytes bytes come back exactly.
//	S14  Absence is ErrNotFound, and only absence is: denied access, a failed
//	     network and a missing bucket are never reported as absence.
//	S15  A write that did not apply because of its condition is
//	     ErrPreconditionFailed, and nothing else is.
//	S16  A write that may or may not have applied, now or later, is
//	     ErrOutcomeUnknown. Each call of Put is one attempt: the store does not
//	     retry writes.
//	S17  Denied access is ErrAccessDenied. A server that asks its clients to slow
//	     down is ErrUnavailable, with the wait that it asks for. Both are without
//	     effect.
//	S18  A cancelled context ends the call at once, with an error that is the
//	     context's for errors.Is.
//	S19  Every method may be called from any number of goroutines.
//	S20  A store that cannot keep S1 to S4 and S8 is ErrUnsupported; the error
//	     names the clause and says what to do. Opening checks what one request
//	     can show without a write, the first write checks that the answer has a
//	     proper version ID, and Probe checks all of it.
//
// Errors are the sentinels of this package, wrapped in an [*Error] that names the
// operation and the object and keeps the cause for errors.As. An implementation may retry
// a read within a call, but not a write (S16).
type VersionedStore interface {
	// Get reads the current version of an object. An object that was never
	// written, or whose newest version is a delete marker, is ErrNotFound.
	Get(ctx context.Context, name string) (Object, error)

	// GetVersion reads the given version of an object. A version that the
	// object does not have, or that is a delete marker, is ErrNotFound.
	GetVersion(ctx context.Context, name string, id VersionID) (Object, error)

	// Head returns the current version of an object without its body. It fails as Get
	// does.
	Head(ctx context.Context, name string) (Version, error)

	// Put writes a new version of an object, which becomes the current one, if
	// the condition holds, and returns it. A nil error means that the version
	// is durable (S5). The store does not keep body after Put returns, and
	// does not change it.
	//
	// ErrPreconditionFailed, ErrAccessDenied, ErrUnavailable, ErrInvalidName,
	// ErrTooLarge, ErrDamaged, ErrNoCondition and ErrUnsupported mean that this
	// call had no effect and will have none, with one exception: the version
	// that ErrUnsupported complains of at a first write was written. Every other
	// error is ErrOutcomeUnknown.
	Put(ctx context.Context, name string, body []byte, cond Condition) (Version, error)

	// ListVersions returns one page of the versions of an object, newest
	// first, delete markers among them. An object that was never written has
	// an empty list; that is not an error.
	ListVersions(ctx context.Context, name string, req VersionsRequest) (VersionsPage, error)

	// ListNames returns one page of the names of the objects that have a
	// current version, in byte order.
	ListNames(ctx context.Context, req NamesRequest) (NamesPage, error)
}

// A StrictStore is a [VersionedStore] that rejects some names which its server can hold,
// for example because the server does not list them, or cannot hold them together with
// certain others. Programs that use the same objects by other means may have used such
// names.
//
// A store that wraps another one provides these methods if the other one does.
type StrictStore interface {
	VersionedStore

	// CheckNewName returns an error that is [ErrInvalidName] if no new object
	// should have that name. It sends no request.
	CheckNewName(name string) error

	// AnyName returns the same store without that strictness: it reads, lists and writes
	// every object under the name that the server holds. It still rejects, with
	// [ErrInvalidName], a name that the server confuses with another one.
	AnyName() VersionedStore
}
