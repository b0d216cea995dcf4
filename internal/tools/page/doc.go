// Command page builds what runs in browsers and in Node, with Go alone: the runtime's WebAssembly, the
// JavaScript of the npm package, and the demo page. It neither checks types nor writes declarations (tsc
// does, for the npm package), and it needs no network once the module's dependencies are there.
//
// It runs at the root of the module; `make page` calls it, and so does `llama-webgpu serve` if the program
// was built without the page:
//
//	go run ./internal/tools/page [-go GO] [-site DIR] [-dist DIR]
//
// -site is the directory of the demo page (web/site), which `go build -tags page` embeds in the command.
// -dist is the directory of the package's JavaScript and WebAssembly (web/dist). An empty value leaves one
// out. The same sources and the same Go release give the same bytes.
package main
