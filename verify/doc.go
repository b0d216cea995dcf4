// Package verify answers two questions and never mixes them. Is the runtime right? — its logits
// against those of a plain CPU forward pass on the same weights (MeasureParity). Is the model still
// itself? — the quantized bundle against the checkpoint (MeasureDrift).
//
// It holds that CPU forward pass, the metrics, the thresholds and the report. It compares two
// Forwarders and never knows what they run on.
package verify
