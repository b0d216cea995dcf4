package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// jinja is the library that renders chat templates in JavaScript, below web.
const jinja = "third_party/huggingface-jinja"

// packageScripts returns the JavaScript of the npm package, a file per module as in web/src. wasm_exec.js,
// which depends on the Go release, is not among them.
func packageScripts(web, backend string) (files, error) {
	entries, err := modules(filepath.Join(web, "src"))
	if err != nil {
		return nil, err
	}
	scripts, err := build(web, api.BuildOptions{EntryPoints: entries, Outdir: "."})
	if err != nil {
		return nil, err
	}
	if scripts["backend.js"], err = backendModule(backend); err != nil {
		return nil, err
	}
	scripts["jinja.js"], err = jinjaModule(web)
	return scripts, err
}

// modules returns the absolute names of the TypeScript modules in a directory.
func modules(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.ts"))
	if err != nil {
		return nil, err
	}
	var entries []string
	for _, name := range found {
		if strings.HasSuffix(name, ".d.ts") {
			continue
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, abs)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: no TypeScript: run this at the root of the module", dir)
	}
	return entries, nil
}

// backendModule makes a module of the file whose value is the JavaScript half of package gpu.
func backendModule(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	at := strings.Index(string(text), "(() =>")
	if at < 0 {
		return nil, fmt.Errorf("%s: it does not contain the function expression %q", file, "(() =>")
	}
	return []byte("export const backend = " + strings.TrimSpace(string(text[at:])) + ";\n"), nil
}

// jinjaModule bundles what the package uses of the Jinja library, with its license in front.
func jinjaModule(web string) ([]byte, error) {
	license, err := os.ReadFile(filepath.Join(web, jinja, "LICENSE"))
	if err != nil {
		return nil, err
	}
	out, err := build(web, api.BuildOptions{
		Stdin:  &api.StdinOptions{Contents: "export { Environment, Interpreter, Template } from './" + jinja + "/index.js';", ResolveDir: absolute(web)},
		Bundle: true, MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true, Outfile: "jinja.js",
		Banner: map[string]string{"js": "/*! @huggingface/jinja\n\n" + strings.TrimSpace(string(license)) + "\n*/"},
	})
	return out["jinja.js"], err
}

// libraries are those that the page's scripts contain, by the script: where each lies below web, and what it is imported as.
var libraries = map[string]struct{ dir, name, file string }{
	"markdown":  {"third_party/marked", "marked", "/marked.esm.js"},
	"highlight": {"third_party/highlight.js", "highlight.js", ""},
	"math":      {"third_party/temml", "temml", "/temml.min.js"},
}

// pageScripts are the scripts of the page: the first one, and those that it loads when it needs them.
var pageScripts = []string{"app", "markdown", "highlight", "math", "preferences", "files", "shortcuts", "measure", "sw"}

// pageFiles returns the page: its scripts, its style, and the files that are served as they are.
func pageFiles(web string) (files, error) {
	out := files{}
	for _, name := range pageScripts {
		script, err := build(web, pageScript(web, name))
		if err != nil {
			return nil, err
		}
		out[name+".js"] = script[name+".js"]
		if lib, ok := libraries[name]; ok {
			license, err := os.ReadFile(filepath.Join(web, lib.dir, "LICENSE"))
			if err != nil {
				return nil, err
			}
			out[name+".js"] = append([]byte("/*! "+lib.name+"\n\n"+strings.TrimSpace(string(license))+"\n*/\n"), out[name+".js"]...)
		}
	}
	for _, name := range []string{"style", "media", "measure", "settings"} {
		style, err := build(web, api.BuildOptions{
			EntryPoints: []string{filepath.Join(absolute(web), "page", "styles", name+".css")}, Bundle: true, Outdir: ".",
			MinifySyntax: true, MinifyWhitespace: true,
		})
		if err != nil {
			return nil, err
		}
		out[name+".css"] = style[name+".css"]
	}
	for _, name := range []string{"index.html", "settings.html", "measure.html", "icon.svg", "install.json"} {
		text, err := os.ReadFile(filepath.Join(web, "page", name))
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".html") {
			text = indentation.ReplaceAll(text, []byte("\n"))
		}
		out[name] = text
	}
	return out, nil
}

// exported makes a module of Temml's script, which has its library in a variable.
var exported = api.Plugin{Name: "exported", Setup: func(b api.PluginBuild) {
	b.OnLoad(api.OnLoadOptions{Filter: `temml\.min\.js$`}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
		text, err := os.ReadFile(a.Path)
		module := string(text) + "\nexport default temml;\n"
		return api.OnLoadResult{Contents: &module, Loader: api.LoaderJS}, err
	})
}}

// indentation is there for those who edit the page's HTML. Nothing in it keeps its blanks, as a pre would.
var indentation = regexp.MustCompile(`\n[ \n]+`)

// pageScript says how a script of the page is built: in one file, without the others, and without the package, which is
// served beside the page.
func pageScript(web, name string) api.BuildOptions {
	o := api.BuildOptions{
		EntryPoints: []string{filepath.Join(absolute(web), "page", name+".ts")}, Bundle: true, Outdir: ".",
		External: []string{"./llama-webgpu/*"}, Alias: map[string]string{}, Plugins: []api.Plugin{exported},
		MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true,
	}
	for _, lib := range libraries {
		o.Alias[lib.name] = "./" + lib.dir + lib.file
	}
	for _, other := range pageScripts {
		o.External = append(o.External, "./"+other+".js")
	}
	return o
}

// build runs esbuild in a directory, to get modules. The names of the files that come of it have no directory.
func build(dir string, o api.BuildOptions) (files, error) {
	return buildAs(api.FormatESModule, dir, o)
}

func buildAs(format api.Format, dir string, o api.BuildOptions) (files, error) {
	o.AbsWorkingDir, o.Write = absolute(dir), false
	o.Format, o.Target, o.Platform = format, api.ES2022, api.PlatformNeutral
	o.LogLevel, o.Charset = api.LogLevelSilent, api.CharsetUTF8
	o.TsconfigRaw = "{}" // that of tsc says nothing about JavaScript but the target
	result := api.Build(o)
	if len(result.Errors) > 0 {
		text := api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage})
		return nil, errors.New(strings.TrimSpace(strings.Join(text, "\n")))
	}
	out := files{}
	for _, f := range result.OutputFiles {
		ending := ".js"
		if strings.HasSuffix(f.Path, ".css") {
			ending = ".css"
		}
		out[base(f.Path)+ending] = f.Contents
	}
	return out, nil
}

// absolute returns a directory's absolute name, which esbuild wants.
func absolute(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir // the working directory is gone: esbuild says so
	}
	return abs
}
