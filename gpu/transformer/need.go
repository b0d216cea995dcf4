package transformer

// Need reports the bytes of device memory that a model takes, by purpose, on a device whose bindings
// hold limit bytes. It needs no device: of src it asks what there is and how it is packed, no weights.
func Need(src Source, o Options, limit uint64) (map[string]uint64, error) {
	t := &Transformer{spec: src.Spec(), opts: o.withDefaults(src.Spec()), limit: limit}
	t.makes = []func() error{t.allocateSmall, t.allocateActivations, t.allocateCache, t.allocateAngles, t.allocateWeights}
	if err := t.design(src); err != nil {
		return nil, err
	}
	return t.Need(), nil
}
