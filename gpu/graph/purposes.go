package graph

// The purposes that device memory is counted under.
const (
	PurposeWeights     = "weights"
	PurposeKV          = "kv cache"
	PurposeActivations = "activations"
	PurposeLoading     = "loading"
	purposeStaging     = "staging" // memory of the CPU, on its way to the device
)
