// Package web serves the demo page, the npm package that the page loads, and models. It never runs a model, and
// builds no page but one that is missing. Site returns the page's files, Handler serves them.
//
// The rest of the directory is not Go: src is the npm package, page the demo page, test what the tests run in
// Chromium and in Node, third_party other people's code, as they published it. Command internal/tools/page
// builds dist (the package) and site (the page) from them.
package web
