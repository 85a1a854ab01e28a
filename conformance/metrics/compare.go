package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Compare lists what is wrong with the second side's metrics, the first being etcd's.
func Compare(etcd, other map[string]*Family) []string {
	var wrong []string
	for _, read := range slices.Concat(mixin, operators) {
		wrong = append(wrong, compareRead(read, etcd[read.Family], other[read.Family])...)
	}
	names := slices.Concat(slices.Collect(maps.Keys(etcd)), slices.Collect(maps.Keys(other)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		wrong = append(wrong, compareFamily(name, etcd[name], other[name])...)
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// compareRead wants what etcd has and a dashboard reads: there, and moving if etcd's has moved.
func compareRead(read Read, etcd, other *Family) []string {
	if etcd == nil {
		return nil
	}
	if other == nil {
		return []string{fmt.Sprintf("%s is missing; read by %s", read.Family, read.By)}
	}
	var wrong []string
	for _, label := range read.Labels {
		if !slices.Contains(other.LabelNames(), label) {
			wrong = append(wrong, fmt.Sprintf("%s has no label %s; read by %s", read.Family, label, read.By))
		}
	}
	if etcd.Sum > 0 && other.Sum == 0 {
		wrong = append(wrong, fmt.Sprintf("%s is 0, and %v in etcd; read by %s", read.Family, etcd.Sum, read.By))
	}
	return wrong
}

// compareFamily wants a family on both sides, or a reason; and the same kind of it.
func compareFamily(name string, etcd, other *Family) []string {
	if etcd == nil || other == nil {
		if explain(name) != "" {
			return nil
		}
		side := "etcd"
		if etcd == nil {
			side = "the other side"
		}
		return []string{fmt.Sprintf("%s is on %s alone, and not explained", name, side)}
	}
	var wrong []string
	differ := func(what string, a, b any) {
		if fmt.Sprint(a) != fmt.Sprint(b) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v in etcd and %v", name, what, a, b))
		}
	}
	differ("type", etcd.Type, other.Type)
	differ("label names", etcd.LabelNames(), other.LabelNames())
	differ("bucket bounds", etcd.Bounds, other.Bounds)
	if strings.HasPrefix(name, "grpc_") {
		// All of these are there from the start, so even the values of the labels must agree.
		missing := without(etcd.Series, other.Series)
		more := without(other.Series, etcd.Series)
		differ("missing series", []string(nil), missing)
		differ("series of its own", []string(nil), more)
	}
	return wrong
}

// without lists the series of one family that another has not.
func without(series, others []Labels) []string {
	has := map[string]bool{}
	for _, labels := range others {
		has[fmt.Sprint(labels)] = true
	}
	var missing []string
	for _, labels := range series {
		if text := fmt.Sprint(labels); !has[text] {
			missing = append(missing, text)
		}
	}
	slices.Sort(missing)
	return missing
}
