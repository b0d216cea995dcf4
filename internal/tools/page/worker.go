package main

import (
	"encoding/json"
	"fmt"
	"path"

	"github.com/evanw/esbuild/pkg/api"
)

// workerThread is the script of the package's Worker.
const workerThread = "worker-thread.js"

// bundleWorker replaces the Worker's script in pkg by one that contains what it imports, and adds worker-code.js, the
// module whose value is the text of that script. It is neither a module nor does it know its own address: it runs from
// wherever a bundler puts it, and from a blob.
func bundleWorker(web string, pkg files) error {
	if _, ok := pkg[workerThread]; !ok {
		return nil
	}
	out, err := buildAs(api.FormatIIFE, web, api.BuildOptions{
		EntryPoints: []string{workerThread}, Bundle: true, Outdir: ".", Plugins: []api.Plugin{from(pkg)},
		MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true,
		Define: map[string]string{"import.meta.url": "undefined"},
	})
	if err != nil {
		return err
	}
	pkg[workerThread] = out[workerThread]
	text, err := json.Marshal(string(out[workerThread]))
	if err != nil {
		return err
	}
	pkg["worker-code.js"] = fmt.Appendf(nil, "export const workerCode = %s;\n", text)
	return nil
}

// from has esbuild read the modules of a package that is not on disk.
func from(pkg files) api.Plugin {
	return api.Plugin{Name: "package", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: path.Clean(a.Path), Namespace: "package"}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "package"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			text, ok := pkg[a.Path]
			if !ok {
				return api.OnLoadResult{}, fmt.Errorf("the package has no %s", a.Path)
			}
			contents := string(text)
			return api.OnLoadResult{Contents: &contents, Loader: api.LoaderJS}, nil
		})
	}}
}
