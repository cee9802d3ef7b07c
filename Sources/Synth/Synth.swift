// SPDX-License-Identifier: Apache-2.0

// The room between the graph and the program: it will turn a ProcessingGraph and what this system is
// capable of into C source, by filling templates/ with modules of fpm/. A pure function like Topology;
// it must not know the kernel it runs on. This version attaches no program, so it is empty.
