"""How the detector in the box is made: from the synthetic world's pictures to Darknet weights.

`simulator.train` runs it.

    world ─ pictures ─► Scene ─ augment ─► Sample ─ targets ─► what each slot of the heads should say
    (render, H.264,     (content of        (one input of                     │
     scale)              one tile)          the network)                     ▼
    demo.weights ◄─ network (export) ◄─ mean of the weights ◄─ run ◄─ loss ◄─ network (trainable)

Core (pure): plan, boxes, anchors, augment, targets, quality, schedule. Shell: pictures (imports av); network, loss and
run (import keras and tensorflow).
"""
