package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// TestPageUnits runs test/page in Node: the modules of the page that need no page.
func TestPageUnits(t *testing.T) {
	files, err := filepath.Glob("test/page/*.test.ts")
	if err != nil || len(files) == 0 {
		t.Fatalf("test/page has %d tests: %v", len(files), err)
	}
	dir := t.TempDir()
	result := api.Build(api.BuildOptions{
		EntryPoints: files, Outdir: dir, OutExtension: map[string]string{".js": ".mjs"},
		Bundle: true, Write: true, Platform: api.PlatformNode, Format: api.FormatESModule, TsconfigRaw: "{}",
	})
	for _, e := range result.Errors {
		t.Fatal(e.Text)
	}
	built, err := filepath.Glob(filepath.Join(dir, "*.test.mjs"))
	if err != nil || len(built) != len(files) {
		t.Fatalf("%d of %d tests: %v", len(built), len(files), err)
	}
	testInNode(t, built)
}

// TestPageSize holds what a browser needs before it draws the page to 100 kB, uncompressed.
func TestPageSize(t *testing.T) {
	const limit = 100_000
	total := int64(0)
	for _, name := range []string{"index.html", "style.css", "app.js"} {
		info, err := os.Stat(filepath.Join("site", name))
		require(t, err == nil, "web/site is missing: make page")
		t.Logf("%s: %d bytes", name, info.Size())
		total += info.Size()
	}
	if total > limit {
		t.Errorf("the page takes %d bytes before it is drawn, more than %d", total, limit)
	}
}
