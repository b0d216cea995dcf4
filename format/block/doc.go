// Package block says what a block of quantized weights is: a float16 scale s, an int8 zero-point
// z, and codes q of 8, 4 or 2 bits, so that a weight is (q−z)·s. A Scheme gives the sizes, packs
// codes and decodes rows. The package also converts between float32 and float16.
//
// It never chooses a scale or a code: fitting blocks to weights is the work of package quant.
package block
