package s3store

// Refuses tells whether the store refuses a name, whatever it holds.
func (s *Store) Refuses(name string) bool { return s.checkName(name) != nil }
