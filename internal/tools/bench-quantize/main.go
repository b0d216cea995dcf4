//go:build linux

// Program bench-quantize measures `llama-webgpu quantize` beside cp, as whole processes, in alternation, on a
// checkpoint of the shape of Llama-3.2-1B that it makes once. It knows nothing of how quantize works.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// job is a command that is measured.
type job struct {
	name string
	args []string
	runs []measured
}

// measured is one run.
type measured struct {
	wall, user, sys time.Duration
	anon            int64 // peak of the bytes that are the process's own: RssAnon + RssShmem
	resident        int64 // peak of all resident bytes; mapped files, which are page cache, included
	sync            time.Duration
}

func main() {
	dir := flag.String("dir", "build/bench-quantize", "where the checkpoint and the outputs lie: `DIR`")
	bin := flag.String("bin", "build/llama-webgpu", "what is measured: `FILE`")
	repeat := flag.Int("n", 3, "runs of each")
	only := flag.String("only", "", "jobs whose names contain `TEXT`")
	flag.Parse()
	if err := run(*dir, *bin, *only, *repeat); err != nil {
		fmt.Fprintln(os.Stderr, "bench-quantize:", err)
		os.Exit(1)
	}
}

// formats are what the checkpoint is converted to: three that stay what they are, and int4 as it is chosen for a
// model of this size.
var formats = []struct {
	name  string
	flags []string
}{
	{"int8/128", []string{"--format", "int8", "--block-size", "128"}},
	{"int4/128", []string{"--format", "int4", "--block-size", "128", "--embed-format", "int4"}},
	{"int2/256", []string{"--format", "int2", "--block-size", "256", "--embed-format", "int2"}},
	{"int4", []string{"--format", "int4"}},
}

func run(dir, bin, only string, repeat int) error {
	in, out := filepath.Join(dir, "llama-3.2-1b"), filepath.Join(dir, "out")
	size, err := checkpoint(in)
	if err != nil {
		return err
	}
	var jobs []*job
	add := func(name string, args ...string) {
		if strings.Contains(name, only) {
			jobs = append(jobs, &job{name: name, args: args})
		}
	}
	add("cp", "cp", "-r", in, out)
	for _, method := range []string{"rtn", "search"} {
		for _, f := range formats {
			args := []string{bin, "quantize", "-i", in, "-o", out, "--method", method, "--quiet"}
			add(method+" "+f.name, append(args, f.flags...)...)
		}
	}
	for range repeat {
		for _, j := range jobs {
			if err := prepare(in, out); err != nil {
				return err
			}
			m, err := measure(j.args)
			if err != nil {
				return fmt.Errorf("%s: %w", j.name, err)
			}
			if m.sync, err = syncAll(out); err != nil {
				return err
			}
			j.runs = append(j.runs, m)
		}
	}
	print(jobs, size, repeat)
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	return disk(filepath.Join(dir, "disk"), size/2)
}

// prepare removes the output of the run before, lets the disk come to rest and reads the input into
// the page cache.
func prepare(in, out string) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	syscall.Sync()
	f, err := os.Open(filepath.Join(in, "model.safetensors"))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, f, make([]byte, 1<<20))
	return err
}

func measure(args []string) (measured, error) {
	var m measured
	c := exec.Command(args[0], args[1:]...)
	c.Stderr = os.Stderr
	begun := time.Now()
	if err := c.Start(); err != nil {
		return m, err
	}
	stop, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- watch(c.Process.Pid, stop) }()
	err := c.Wait()
	m.wall = time.Since(begun)
	close(stop)
	m.anon = <-peak
	m.user, m.sys = c.ProcessState.UserTime(), c.ProcessState.SystemTime()
	if u, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.resident = u.Maxrss << 10
	}
	return m, err
}

// watch returns the greatest RssAnon + RssShmem of a process until stop, as seen every 10 ms.
func watch(pid int, stop <-chan struct{}) (peak int64) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	for {
		select {
		case <-stop:
			return peak
		case <-time.After(10 * time.Millisecond):
		}
		data, err := os.ReadFile(path)
		if err != nil { // it has ended
			continue
		}
		var sum int64
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 3 && (f[0] == "RssAnon:" || f[0] == "RssShmem:") {
				kB, _ := strconv.ParseInt(f[1], 10, 64)
				sum += kB << 10
			}
		}
		peak = max(peak, sum)
	}
}

// syncAll reports how long the disk takes for what the process left unwritten.
func syncAll(out string) (time.Duration, error) {
	begun := time.Now()
	entries, err := os.ReadDir(out)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(out, e.Name()))
		if err != nil {
			return 0, err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

func print(jobs []*job, size int64, repeat int) {
	fmt.Printf("%.2f GB of float16, page cache warm, whole process, in alternation; median of %d (least–greatest). Load: %s\n", float64(size)/1e9, repeat, load())
	fmt.Printf("%-16s %22s %8s %8s %8s %9s %9s %10s\n", "", "wall s", "GB/s", "user s", "system s", "own MB", "all MB", "then sync")
	for _, j := range jobs {
		wall, low, high := spread(j.runs, func(m measured) float64 { return m.wall.Seconds() })
		value := func(f func(measured) float64) float64 { v, _, _ := spread(j.runs, f); return v }
		_, _, anon := spread(j.runs, func(m measured) float64 { return float64(m.anon) / 1e6 })
		_, _, all := spread(j.runs, func(m measured) float64 { return float64(m.resident) / 1e6 })
		fmt.Printf("%-16s %22s %8.2f %8.2f %8.2f %9.0f %9.0f %10.2f\n", j.name, fmt.Sprintf("%.2f (%.2f–%.2f)", wall, low, high),
			float64(size)/1e9/wall, value(func(m measured) float64 { return m.user.Seconds() }), value(func(m measured) float64 { return m.sys.Seconds() }),
			anon, all, value(func(m measured) float64 { return m.sync.Seconds() }))
	}
	fmt.Println("own: greatest RssAnon+RssShmem, sampled every 10 ms; all: peak resident, mapped pages of the input (page cache) included")
}

// disk says what writing and syncing n bytes cost without anything else.
func disk(path string, n int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	begun := time.Now()
	buf := make([]byte, 1<<20)
	for at := int64(0); at < n; at += int64(len(buf)) {
		if _, err := f.Write(buf); err != nil {
			return err
		}
	}
	written := time.Now()
	if err := f.Sync(); err != nil {
		return err
	}
	fmt.Printf("to write %.2f GB to this disk takes %.2f s, fsync after it %.2f s: quantize waits for its own fsync, cp does not\n",
		float64(n)/1e9, written.Sub(begun).Seconds(), time.Since(written).Seconds())
	return nil
}

// spread returns median, least and greatest.
func spread(runs []measured, f func(measured) float64) (median, low, high float64) {
	var v []float64
	for _, m := range runs {
		v = append(v, f(m))
	}
	slices.Sort(v)
	return v[len(v)/2], v[0], v[len(v)-1]
}

func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}
