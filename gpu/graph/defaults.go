package graph

import (
	"maps"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// fullRows is about how many rows keep a large GPU busy with four rows a workgroup.
const fullRows = 4096

// matvecDefaults are the constants of matvec where nothing better is known.
func (c *chooser) matvecDefaults(s Shape) Tuned {
	tokens, vectors := powerOfTwo(s.Tokens), powerOfTwo(s.CodeBytes(s.Width)/16)
	rows, lanes := 4, min(64, vectors) // no more threads share a row than it has vectors
	switch {
	case c.dev.OnCPU(): // which runs idle threads as well
		return Tuned{"ROWS": rows, "LANES": max(8, rows*tokens, lanes), "STEP": min(8, 32/s.Bits)}
	case tokens > 1: // as few threads as make the outputs, for registers to be many
		lanes = 32
	case s.Rows <= fullRows: // more threads a row, for all of a large GPU to be busy
		rows, lanes = 2, min(128, 64*fullRows/max(s.Rows, 1), vectors)
	case s.Rows > 16*fullRows: // few, for inputs to be read less often
		rows = 8
	}
	return Tuned{"ROWS": rows, "LANES": max(32, rows*tokens, powerOfTwo(lanes)), "STEP": min(8, 32/s.Bits)}
}

// limbsDefaults are the constants of matvec_dot4 where nothing better is known. What is handed on as limbs is made by
// workgroups that make whole blocks.
func (c *chooser) limbsDefaults(s Shape, gated, handsOn bool) Tuned {
	roomy := c.dev.Limits().MaxInvocations >= 512
	if s.Tokens > 1 {
		return c.fewLimbsDefaults(s, gated, handsOn)
	}
	switch {
	case handsOn && gated && s.Rows > 4*fullRows: // in two turns: other workgroups compute while one ends
		lanes := 256
		if s.Bits == 4 && roomy {
			lanes = 512 // for as few workgroups as a large GPU runs at once; not measured for other widths
		}
		return Tuned{"ROWS": 4, "ALONG": 32, "LANES": lanes, "DEPTH": 1, "TURNS": 2}
	case handsOn && gated && roomy:
		return Tuned{"ROWS": 4, "ALONG": 32, "LANES": 512, "DEPTH": 2}
	case handsOn && gated:
		return Tuned{"ROWS": 8, "ALONG": 32, "LANES": 256, "DEPTH": 1}
	case handsOn && c.dev.Limits().MaxInvocations >= 1024:
		return Tuned{"ROWS": 2, "ALONG": 64, "LANES": 1024, "DEPTH": 1 + flag(s.CodeBytes(s.Width) <= 2048)}
	case handsOn && roomy:
		return Tuned{"ROWS": 4, "ALONG": 64, "LANES": 512, "DEPTH": 1}
	case handsOn:
		return Tuned{"ROWS": 4, "ALONG": 32, "LANES": 256, "DEPTH": 1}
	case s.Rows <= 4*fullRows:
		return Tuned{"ROWS": 4, "ALONG": 64, "LANES": 128, "DEPTH": 2}
	}
	return Tuned{"ROWS": 4, "ALONG": 32, "LANES": 128, "DEPTH": 1}
}

// fewLimbsDefaults are those for several tokens, which compute more for each word that is read.
func (c *chooser) fewLimbsDefaults(s Shape, gated, handsOn bool) Tuned {
	most := c.dev.Limits().MaxInvocations
	switch {
	case handsOn && !gated && s.Tokens <= 4 && most >= 1024:
		return Tuned{"ROWS": 2, "ALONG": 64, "LANES": 1024, "DEPTH": 1}
	case handsOn && most >= 512:
		return Tuned{"ROWS": 4, "ALONG": 64 >> flag(gated), "LANES": 512, "DEPTH": 1}
	case handsOn:
		return Tuned{"ROWS": 8, "ALONG": 64 >> flag(gated), "LANES": 256, "DEPTH": 1}
	case s.Rows > 4*fullRows:
		return Tuned{"ROWS": 4, "ALONG": 32, "LANES": 128, "DEPTH": 1}
	case s.Tokens <= 2 && most >= 512:
		return Tuned{"ROWS": 4, "ALONG": 32, "LANES": 512, "DEPTH": 1}
	case s.Tokens <= 4:
		return Tuned{"ROWS": 2, "ALONG": 32, "LANES": 256, "DEPTH": 1}
	}
	return Tuned{"ROWS": 4, "ALONG": 64, "LANES": 256, "DEPTH": 1}
}

// batchDefaults are the constants of matvec_batch where nothing better is known: for many rows, threads that
// read inputs for four; for few, threads enough for a large GPU to be busy.
func (c *chooser) batchDefaults(s Shape) Tuned {
	with := Tuned{"ROWS": 4, "ALONG": 8, "LANES": 128, "STEP": 4}
	roomy := c.dev.Limits().MaxWorkgroupBytes >= 32<<10 // more than every GPU has
	switch {
	case s.Rows > 2*fullRows && roomy:
		with["LANES"] = 256
	case s.Rows <= 2*fullRows:
		with["ROWS"], with["STEP"] = 2, 2
		if s.Rows <= fullRows && s.Bits >= 4 && roomy {
			with["ALONG"] = 16
		}
	}
	return with
}

// matmulTile is what a workgroup of matmul makes, and each of its threads.
var matmulTile = Tuned{"TILE_ROWS": 64, "TILE_TOKENS": 64, "ROWS": 8, "TOKENS": 8, "DEPTH": 4}

// matmulDefaults returns the tile for n tokens. A GPU computes those past the last one in passing, a CPU does not.
func (c *chooser) matmulDefaults(n int) Tuned {
	if !c.dev.OnCPU() {
		return matmulTile
	}
	tile := maps.Clone(matmulTile)
	tile["TILE_TOKENS"] = max(16, min(tile["TILE_TOKENS"], powerOfTwo(n)))
	return tile
}

// narrow is a tile for matrices of few rows, such as routers, of which others leave most of a large GPU idle.
var narrow = Tuned{"TILE_ROWS": 16, "TILE_TOKENS": 16, "ROWS": 2, "TOKENS": 2, "DEPTH": 16}

const narrowRows = 256

// matmul adds the constants of matmul for a product to consts, and returns them.
func (c *chooser) matmul(s Shape, consts kernels.Consts) Tuned {
	if _, tuned := c.Tuning[TuningKey{"matmul", s.Class()}]; !tuned && !c.dev.OnCPU() && s.Rows <= narrowRows && validTile(narrow, s) {
		narrow.add(consts)
		return narrow
	}
	return c.tuned("matmul", s, consts, c.matmulDefaults(s.Tokens))
}

// A pass of few tokens cuts the cached positions so that a workgroup of attention reads about splitLength of
// them, into maxSplits parts at most: a few workgroups of long loops would leave a GPU idle. A CPU is busy with
// the heads alone.
const splitLength, maxSplits = 128, 64

// attention returns how attention of n tokens is divided among workgroups: positions of a part (SPLIT, 0: all),
// heads of a workgroup that share keys (QUERIES), its threads, and how many positions each of these reads at once
// (EACH). It also reports whether that was found by tuning, of which nothing is used that cannot be: tuning times
// attention_split, and says nothing about ShufflingKernel.
func (c *chooser) attention(at *model.Attention, n int) (use Tuned, tuned bool) {
	if use, ok := c.Tuning[TuningKey{"attention_split", AttentionClass(at, n)}]; ok && !c.shuffles(at, 16) && c.attentionPossible(at, use) == nil {
		return use, true
	}
	use = Tuned{"QUERIES": 1, "LANES": 128, "EACH": 2, "SPLIT": splitLength}
	for q := 2; q <= 4 && (q*at.HeadDim <= 1024 || at.KVRank > 0); q++ {
		if at.Heads/at.KVHeads%q == 0 {
			use["QUERIES"] = q
		}
	}
	if c.dev.OnCPU() {
		use["SPLIT"] = 0
	}
	return use, false
}

// attentionPossible returns an error if attention cannot be computed with these constants.
func (c *chooser) attentionPossible(at *model.Attention, with Tuned) error {
	if with["QUERIES"] < 1 || at.Heads/at.KVHeads%with["QUERIES"] != 0 || at.HeadDim > 8*with["LANES"] {
		return errUnfit
	}
	return c.unfit("attention_split", kernels.Consts{"HEADS": at.Heads, "KV_HEADS": at.KVHeads, "DIM": at.HeadDim, "VALUE": at.ValueWidth()},
		Tuned{"QUERIES": with["QUERIES"], "LANES": with["LANES"], "EACH": with["EACH"]})
}

// splitting is how many cached positions a part of attention has, by number of tokens; 0: all of them.
type splitting [FewTokens + 1]int

// splitting decides it as suits the first layer with attention.
func (c *chooser) splitting(s *model.Spec) (all splitting) {
	first := slices.IndexFunc(s.Layers, func(k int) bool { return s.Kinds[k].Attends() })
	for n := 1; n <= FewTokens && c.dev != nil && first >= 0; n++ {
		core := s.Layer(first).Attention.Core()
		use, _ := c.attention(&core, n)
		all[n] = use["SPLIT"]
		if c.Split > 0 {
			all[n] = c.Split
		}
	}
	return all
}

// parts reports into how many parts, a power of two, a pass of n tokens cuts its cached positions. More than few are not cut.
func (s *splitting) parts(n, context int) int {
	if n > FewTokens || s[n] == 0 {
		return 1
	}
	return min(powerOfTwo((context+s[n]-1)/s[n]), maxSplits)
}
