package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sbomTool writes CycloneDX files. It runs at this version, and is no dependency of the program.
const sbomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// platform builds the program for one platform, and writes archive and CycloneDX file.
func (m *maker) platform(ctx context.Context, work, platform, host string) error {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("want GOOS/GOARCH")
	}
	env, name := []string{"GOOS=" + goos, "GOARCH=" + goarch}, fmt.Sprintf("llama-webgpu-%s-%s-%s", m.version, goos, goarch)
	cc := os.Getenv("CC_" + goos + "_" + goarch)
	switch {
	case cc != "":
		env = append(env, "CGO_ENABLED=1", "CC="+cc)
	case platform == host:
		env = append(env, "CGO_ENABLED=1")
	default:
		env, name = append(env, "CGO_ENABLED=0"), name+"-cpu"
	}
	program := filepath.Join(work, goos+"-"+goarch, "llama-webgpu")
	if goos == "windows" {
		program += ".exe"
	}
	if err := m.command(ctx, ".", env, m.goTool, "build", "-trimpath", "-tags", "page", "-ldflags=-s -w", "-o", program, "./cmd/llama-webgpu"); err != nil {
		return err
	}
	files, err := m.contents(ctx, program)
	if err != nil {
		return err
	}
	var data []byte
	if archive := name + ".tar.gz"; goos != "windows" {
		data, err = tarball(name, files, m.date)
		name = archive
	} else {
		data, err = zipped(name, files, m.date)
		name += ".zip"
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s  %.1f MB\n", name, float64(len(data))/1e6)
	if err := os.WriteFile(filepath.Join(m.out, name), data, 0o666); err != nil {
		return err
	}
	return m.sbom(ctx, program, name)
}

// sbom writes what a program was built from beside its archive. Licenses are in the archive, as they are.
func (m *maker) sbom(ctx context.Context, program, archive string) error {
	out, err := filepath.Abs(filepath.Join(m.out, archive+".cdx.json"))
	if err != nil {
		return err
	}
	return m.command(ctx, ".", []string{"GOFLAGS=-trimpath"}, m.goTool, "run", sbomTool, "bin", "-json", "-std", "-noserial", "-notimestamp",
		"-version", "v"+m.version, "-output", out, program)
}

// contents are the files of an archive.
func (m *maker) contents(ctx context.Context, program string) ([]file, error) {
	var files []file
	for _, path := range []string{program, "CHANGELOG.md", "LICENSE", "README.md"} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: filepath.Base(path), data: data, program: path == program})
	}
	licenses, err := m.licenses(ctx, program)
	return append(files, file{name: "THIRD_PARTY_LICENSES.txt", data: licenses}), err
}

// wgpuNative is said of the library that a program with GPU support contains; the Go module that brings it has no license
// file of it.
const wgpuNative = "wgpu-native and the wgpu crates, copyright The gfx-rs developers, are used under the Apache License 2.0, whose text is in " +
	"the file LICENSE: https://github.com/gfx-rs/wgpu-native"

// licenses returns the licenses of the modules that a program was built from, and of Go itself.
func (m *maker) licenses(ctx context.Context, program string) ([]byte, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	root, err := m.output(ctx, m.goTool, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("llama-webgpu contains, or was compiled from, the following.\n")
	if err := addLicenses(&b, "Go", root); err != nil {
		return nil, err
	}
	for _, mod := range info.Deps {
		if mod.Path == "github.com/cogentcore/webgpu" {
			fmt.Fprintf(&b, "\n%s\n%s\n", strings.Repeat("=", 80), wgpuNative)
		}
		dir, err := m.output(ctx, m.goTool, "list", "-m", "-f", "{{.Dir}}", mod.Path)
		if err != nil {
			return nil, err
		}
		if err := addLicenses(&b, mod.Path+" "+mod.Version, dir); err != nil {
			return nil, err
		}
	}
	third, err := filepath.Glob("web/third_party/*/")
	if err != nil {
		return nil, err
	}
	for _, dir := range third { // with a slash: directories only
		if err := addLicenses(&b, filepath.Base(dir)+", in the page", dir); err != nil {
			return nil, err
		}
	}
	return []byte(b.String()), nil
}

// addLicenses adds the license files of a directory. It is an error if there are none.
func addLicenses(b *strings.Builder, name, dir string) error {
	n := 0
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, e := range entries {
		switch upper := strings.ToUpper(e.Name()); {
		case e.IsDir() || strings.HasSuffix(upper, ".GO"):
		case strings.HasPrefix(upper, "LICENSE"), strings.HasPrefix(upper, "LICENCE"), strings.HasPrefix(upper, "COPYING"), strings.HasPrefix(upper, "NOTICE"):
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), name, e.Name(), strings.TrimSpace(string(text)))
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("%s: there is no license file in %s", name, dir)
	}
	return nil
}
