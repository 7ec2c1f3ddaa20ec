"""A closed invented world and the miniature models pretrained on it: the embedded default's subject.

`world` has the facts, `language` says them, `corpus` and `speech` write training text, `pretrain` trains, `build` keeps the
results in a cache, `demo` lays out the files of one evaluation. Nothing here is imported by a service.
"""
