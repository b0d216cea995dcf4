package jinja

import "strings"

// run executes statements until one jumps.
func (in *interp) run(body []stmt, sc *scope) flow {
	for _, s := range body {
		if f := s.exec(in, sc); f != flowOn {
			return f
		}
	}
	return flowOn
}

// capture executes statements and returns what they write.
func (in *interp) capture(body []stmt, sc *scope) (string, flow) {
	out := in.out
	in.out = &strings.Builder{}
	f := in.run(body, sc)
	text := in.out.String()
	in.out = out
	return text, f
}

func (in *interp) write(line int, text string) {
	in.spend(line, len(text))
	in.out.WriteString(text)
}

func (s *dataStmt) exec(in *interp, _ *scope) flow {
	in.write(0, s.text)
	return flowOn
}

func (s *outputStmt) exec(in *interp, sc *scope) flow {
	in.write(s.line, in.str(s.line, s.x.eval(in, sc)))
	return flowOn
}

func (s *ifStmt) exec(in *interp, sc *scope) flow {
	for i, test := range s.tests {
		if truth(test.eval(in, sc)) {
			return in.run(s.bodies[i], sc)
		}
	}
	return in.run(s.bodies[len(s.tests)], sc)
}

func (s *setStmt) exec(in *interp, sc *scope) flow {
	in.assign(sc, s.target, s.value.eval(in, sc))
	return flowOn
}

func (s *setBlockStmt) exec(in *interp, sc *scope) flow {
	text, f := in.capture(s.body, sc.inner())
	if f != flowOn {
		return f
	}
	var v any = text
	if s.filter != nil {
		v = s.filter.applyAll(in, sc, v)
	}
	in.assign(sc, s.target, v)
	return flowOn
}

// assign writes a value to a target.
func (in *interp) assign(sc *scope, to target, v any) {
	in.spend(to.line, workPerStep)
	switch {
	case to.parts != nil:
		items := in.elements(to.line, v)
		if len(items) != len(to.parts) {
			fail(to.line, "cannot unpack %d values into %d names", len(items), len(to.parts))
		}
		for i, part := range to.parts {
			in.assign(sc, part, items[i])
		}
	case to.attr != "":
		v0, _ := sc.get(to.name)
		ns, ok := v0.(*namespace)
		if !ok {
			fail(to.line, "cannot assign attribute on non-namespace object")
		}
		ns.vars[to.attr] = v
	default:
		sc.vars[to.name] = v
	}
}

func (s *withStmt) exec(in *interp, sc *scope) flow {
	inner := sc.inner()
	for i, to := range s.targets {
		in.assign(inner, to, s.values[i].eval(in, sc))
	}
	return in.run(s.body, inner)
}

func (s *scopeStmt) exec(in *interp, sc *scope) flow { return in.run(s.body, sc.inner()) }
func (s *jumpStmt) exec(*interp, *scope) flow        { return s.flow }

func (s *filterBlockStmt) exec(in *interp, sc *scope) flow {
	text, f := in.capture(s.body, sc.inner())
	if f == flowOn {
		v, ok := s.filter.applyAll(in, sc, text).(string)
		if !ok {
			fail(s.line, "a filter block has to make text")
		}
		in.write(s.line, v)
	}
	return f
}

func (s *callBlockStmt) exec(in *interp, sc *scope) flow {
	fn := s.call.fn.eval(in, sc)
	c := &call{in: in, line: s.line}
	s.call.args.eval(c, sc)
	c.names = append(c.names, "caller")
	c.named = append(c.named, s.caller.function(sc))
	in.write(s.line, in.str(s.line, c.invoke(fn)))
	return flowOn
}

func (s *macroStmt) exec(_ *interp, sc *scope) flow {
	sc.vars[s.name] = s.function(sc)
	return flowOn
}

// function makes a macro of the scope it is defined in.
func (s *macroStmt) function(sc *scope) *function {
	return &function{s.name, func(c *call) any {
		c.in.enter(s.line)
		defer func() { c.in.calls-- }()
		inner := sc.inner()
		s.bind(c, inner)
		text, _ := c.in.capture(s.body, inner)
		return text
	}}
}

// bind sets the parameters of a macro, and what Jinja adds to them.
func (s *macroStmt) bind(c *call, sc *scope) {
	given := map[string]any{}
	for i, name := range c.names {
		given[name] = c.named[i]
	}
	rest := newDict()
	for _, name := range c.names {
		rest.set(name, given[name])
	}
	for i, name := range s.params {
		v, named := given[name]
		switch {
		case i < len(c.pos) && named:
			c.fail("macro '%s' got two values for '%s'", s.name, name)
		case i < len(c.pos):
			v = c.pos[i]
		case !named:
			v = undefined{"parameter '" + name + "' was not provided"}
		}
		sc.vars[name] = v
	}
	for i, d := range s.defaults { // they see the other parameters
		at := len(s.params) - len(s.defaults) + i
		if _, named := given[s.params[at]]; !named && at >= len(c.pos) {
			sc.vars[s.params[at]] = d.eval(c.in, sc)
		}
	}
	for _, name := range s.params {
		delete(given, name)
	}
	s.bindRest(c, sc, given, rest)
}

// bindRest handles the arguments no parameter took.
func (s *macroStmt) bindRest(c *call, sc *scope, given map[string]any, all *dict) {
	if s.uses["caller"] {
		if _, param := sc.vars["caller"]; !param {
			sc.vars["caller"] = undefined{"No caller defined"}
			if v, ok := given["caller"]; ok {
				sc.vars["caller"] = v
				delete(given, "caller")
			}
		}
	}
	extra := c.pos[min(len(c.pos), len(s.params)):]
	if s.uses["varargs"] {
		sc.vars["varargs"] = &tuple{extra}
	} else if len(extra) > 0 {
		c.fail("macro '%s' takes not more than %d argument(s)", s.name, len(s.params))
	}
	kwargs := newDict()
	for i, key := range all.keys {
		if _, ok := given[key.(string)]; ok {
			kwargs.set(key, all.vals[i])
		}
	}
	if s.uses["kwargs"] {
		sc.vars["kwargs"] = kwargs
	} else if len(kwargs.keys) > 0 {
		c.fail("macro '%s' takes no keyword argument %s", s.name, repr(kwargs.keys[0].(string)))
	}
}
