package main

import (
	"github.com/urfave/cli/v2"
)

func jsonFlag(usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: "json", Usage: usage, Category: "Output", DisableDefaultText: true}
}

var quietFlag = &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress and no summary", Category: "Output", DisableDefaultText: true}
