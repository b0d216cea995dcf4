// Package release knows the version of this source tree. It does nothing.
//
// This is the only place that has it: the program, bundles (as their generator), and the release that `make
// release` makes, its npm package included, take it from here. CHANGELOG.md is held to it by a test.
package release

// Version is the version of the program, as semver.org has it. It is part of a bundle's identity: programs of one
// version make the same bytes.
const Version = "0.1.0"
