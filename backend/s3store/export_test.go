package s3store

// Refuses reports whether a name is invalid in the store, whatever the store holds.
func (s *Store) Refuses(name string) bool { return s.checkName(name) != nil }
