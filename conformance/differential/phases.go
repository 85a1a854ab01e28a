package main

func (j *judge) phases() error { return nil }
