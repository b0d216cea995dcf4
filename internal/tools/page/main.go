package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	goTool := flag.String("go", "go", "the Go `command` that builds the WebAssembly")
	site := flag.String("site", "web/site", "where to put the demo page; empty: nowhere")
	dist := flag.String("dist", "web/dist", "where to put the package's JavaScript and WebAssembly; empty: nowhere")
	flag.Parse()
	if err := run(*goTool, *site, *dist); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

func run(goTool, site, dist string) error {
	pkg, err := packageScripts("web", "gpu/backend.js")
	if err != nil {
		return err
	}
	if pkg["wasm_exec.js"], err = wasmExec(goTool); err != nil {
		return err
	}
	if err := bundleWorker("web", pkg); err != nil {
		return err
	}
	wasm, err := buildWasm(goTool)
	if err != nil {
		return err
	}
	if site != "" {
		page, err := pageFiles("web")
		if err != nil {
			return err
		}
		if err := writeSite(site, page, pkg, wasm); err != nil {
			return err
		}
	}
	if dist == "" {
		return nil
	}
	return writeDist(dist, pkg, wasm)
}

// files are the contents of a directory by slash-separated name.
type files map[string][]byte

// write writes all files below dir.
func (f files) write(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(to, f[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}

// writeSite replaces dir by the page and, below llama-webgpu/, the package that it loads. The directory is
// complete or not there.
func writeSite(dir string, page, pkg files, wasm []byte) error {
	all := maps.Clone(page)
	for name, text := range pkg {
		if name != "node.js" {
			all["llama-webgpu/"+name] = text
		}
	}
	var err error
	if all["llama-webgpu/llama-webgpu.wasm.gz"], err = gzipped(wasm); err != nil {
		return err
	}
	if all["sw.js"], err = serviceWorker(all); err != nil {
		return err
	}
	return replace(filepath.Clean(dir), all)
}

// serviceWorker returns the script with the names of all files in front, those that a browser keeps, and a hash of their contents: a
// browser installs a service worker anew when a byte of its script is another.
func serviceWorker(all files) ([]byte, error) {
	var names []string
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "sw.js" {
			names = append(names, strings.TrimSuffix(name, ".gz")) // as it is served
			fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(all[name]))
		}
	}
	list, err := json.Marshal(names)
	return fmt.Appendf(nil, "const files = %s;\nconst version = \"%x\";\n%s", list, h.Sum(nil)[:8], all["sw.js"]), err
}

// replace puts a directory with the given files in the place of dir, if there is one.
func replace(dir string, all files) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // if it is still there
	if err := errors.Join(all.write(temp), os.Chmod(temp, 0o755), os.RemoveAll(dir)); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// writeDist writes the package's JavaScript and WebAssembly beside the declarations that tsc makes, those of
// the modules that are not TypeScript, and removes what belongs to modules that are gone.
func writeDist(dir string, pkg files, wasm []byte) error {
	all := maps.Clone(pkg)
	all["llama-webgpu.wasm"] = wasm
	maps.Copy(all, developmentEntries(pkg))
	for name := range pkg {
		declaration := strings.TrimSuffix(name, ".js") + ".d.ts"
		text, err := os.ReadFile(filepath.Join("web", "src", declaration))
		if err == nil {
			all[declaration] = text
		} else if !os.IsNotExist(err) {
			return err
		}
	}
	if err := removeStale(dir, pkg); err != nil {
		return err
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join("web", "LICENSE"), license, 0o666); err != nil {
		return err
	}
	return all.write(dir)
}

// developmentEntries returns the modules that package.json names for the condition "development", one for each of the
// package's entries. Vite's development server bundles entries of packages into a directory of its own, where
// import.meta.url is no longer beside the WebAssembly; those whose names end in .jsx it serves from where they are.
func developmentEntries(pkg files) files {
	all := files{}
	for _, name := range []string{"index", "device", "loader", "transformer", "worker", "openai", "webllm", "prompt-api", "ai-sdk"} {
		if _, ok := pkg[name+".js"]; ok {
			all[name+".jsx"] = fmt.Appendf(nil, "// Keeps Vite's development server from bundling ./%s.js, which looks for files beside itself.\nexport * from './%[1]s.js';\n", name)
		}
	}
	return all
}

// removeStale removes the scripts and declarations in dir of which pkg has no script.
func removeStale(dir string, pkg files) error {
	for _, pattern := range []string{"*.js", "*.jsx", "*.d.ts"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range found {
			stem := strings.TrimSuffix(filepath.Base(file), pattern[1:])
			if _, ok := pkg[stem+".js"]; ok {
				continue
			}
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// gzipped compresses data as small as gzip can; the header holds neither a name nor a time.
func gzipped(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// base is the last element of a path without its extension.
func base(name string) string {
	b := path.Base(filepath.ToSlash(name))
	return strings.TrimSuffix(b, path.Ext(b))
}
