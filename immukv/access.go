package immukv

import "github.com/immukv/immukv-go/backend"

// Store returns the store that the client was opened with. It is for packages that keep
// objects of their own beside the log, such as package tlog. Only the client may write
// the log and the key objects.
func (c *Client[V]) Store() backend.VersionedStore {
	return c.core.opened
}

// Prefix returns the prefix of the client's object names: see [WithPrefix].
func (c *Client[V]) Prefix() string { return c.core.prefix }

// ReadOnly reports whether the client was opened with [WithReadOnly].
func (c *Client[V]) ReadOnly() bool { return c.core.readOnly }
