package main

import (
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

// ropeFlag stretches the context.
func ropeFlag(category string) cli.Flag {
	return &cli.StringFlag{
		Name: "rope-scaling", Category: category,
		Usage: "`TYPE:FACTOR`: use another RoPE scaling: linear, dynamic or yarn, or a JSON object as in config.json, for longrope and llama3 too",
	}
}

// ropeEdits returns what --rope-scaling does to a configuration.
func ropeEdits(c *cli.Context) ([]hf.Edit, error) {
	if !c.IsSet("rope-scaling") {
		return nil, nil
	}
	edit, err := hf.ScaleRoPE(c.String("rope-scaling"))
	if err != nil {
		return nil, cmdline.Usagef("%v", err)
	}
	return []hf.Edit{edit}, nil
}

// loraFlag names adapters.
func loraFlag(category string) cli.Flag {
	return &cli.StringSliceFlag{
		Name: "lora", KeepSpace: true, Category: category,
		Usage: "`DIR[:SCALE]`: merge the PEFT adapter in DIR into the checkpoint's weights (repeatable)",
	}
}

// adapters are those of --lora.
func adapters(c *cli.Context) []source.Adapter {
	var list []source.Adapter
	for _, arg := range c.StringSlice("lora") {
		list = append(list, source.ParseAdapter(arg))
	}
	return list
}
