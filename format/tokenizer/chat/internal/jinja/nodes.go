package jinja

// expr is an expression, stmt a statement. eval and exec leave through fail on an error.
type expr interface {
	eval(in *interp, sc *scope) any
}

type stmt interface {
	exec(in *interp, sc *scope) flow
}

// flow tells how a statement ended.
type flow int

const (
	flowOn flow = iota
	flowBreak
	flowContinue
)

// Expressions. line is the source line, from 1.
type (
	constant struct{ value any }
	nameExpr struct {
		line int
		name string
	}
	listExpr  struct{ items []expr }
	tupleExpr struct{ items []expr }
	dictExpr  struct {
		line       int
		keys, vals []expr
	}
	attrExpr struct { // object.name
		line   int
		object expr
		name   string
	}
	itemExpr struct { // object[key]
		line        int
		object, key expr
	}
	sliceExpr struct { // object[low:high:step], nil where not written
		line            int
		object          expr
		low, high, step expr
	}
	callExpr struct {
		line int
		fn   expr
		args arguments
	}
	filterExpr struct {
		line    int
		name    string
		subject expr // nil in a filter block
		args    arguments
	}
	testExpr struct {
		line    int
		name    string
		subject expr
		args    arguments
	}
	unaryExpr struct {
		line int
		op   string // + -
		x    expr
	}
	notExpr    struct{ x expr }
	binaryExpr struct {
		line int
		op   string // + - ~ * / // % **
		x, y expr
	}
	logicExpr struct {
		and  bool
		x, y expr
	}
	compareExpr struct { // first ops[0] rest[0] ops[1] rest[1] …
		line  int
		first expr
		ops   []string // == != < <= > >= in, not in
		rest  []expr
	}
	condExpr struct { // then if test else other; other is nil where not written
		line              int
		test, then, other expr
	}
)

// arguments are those of a call, a filter or a test, in the order of writing.
type arguments struct {
	pos      []expr
	names    []string
	named    []expr
	star     expr // *star
	starStar expr // **starStar
}

// Statements.
type (
	dataStmt   struct{ text string }
	outputStmt struct {
		line int
		x    expr
	}
	ifStmt struct {
		tests  []expr
		bodies [][]stmt // one more than tests: what else runs
	}
	forStmt struct {
		line      int
		target    target
		iter      expr
		test      expr // nil where not written
		recursive bool
		body      []stmt
		other     []stmt // runs when there was no turn
	}
	setStmt struct {
		line   int
		target target
		value  expr
	}
	setBlockStmt struct {
		line   int
		target target
		filter *filterExpr // the innermost filter's subject is nil; nil for no filter
		body   []stmt
	}
	withStmt struct {
		line    int
		targets []target
		values  []expr
		body    []stmt
	}
	filterBlockStmt struct {
		line   int
		filter *filterExpr
		body   []stmt
	}
	callBlockStmt struct {
		line   int
		call   *callExpr
		caller *macroStmt
	}
	macroStmt struct {
		line     int
		name     string
		params   []string
		defaults []expr // of the last len(defaults) parameters
		body     []stmt
		uses     map[string]bool // which of caller, varargs and kwargs the body names
	}
	scopeStmt struct{ body []stmt } // {% generation %}
	jumpStmt  struct{ flow flow }
)

// target is what an assignment or a loop writes to: a name, an attribute of a namespace, or several
// targets that unpack the value.
type target struct {
	line  int
	name  string
	attr  string
	parts []target // not nil for several
}
