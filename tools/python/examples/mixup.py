#!/usr/bin/env python3
"""A defence on the model: it is fine-tuned on mixtures of two FM images and of their labels (Zhang et al. 2018).

fedclamp run --data ... --synthetic ... --attack classic --defense exec:./mixup.py --out run.h5
"""

import torch

import fedclamp


@fedclamp.model_defense
def mixup(parameters, context):
    torch.manual_seed(context.seed)
    torch.set_num_threads(context.threads)
    net, images = fedclamp.network(context, parameters), fedclamp.inputs(context.fm)
    labels = torch.nn.functional.one_hot(torch.as_tensor(context.fm.labels), context.classes).float()
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    for batch in torch.randperm(len(images)).split(64):
        share, other = torch.distributions.Beta(0.4, 0.4).sample(), batch[torch.randperm(len(batch))]
        logits = net(share * images[batch] + (1 - share) * images[other])
        targets = share * labels[batch] + (1 - share) * labels[other]
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(logits, targets).backward()
        sgd.step()
    return net.state_dict()


fedclamp.serve()
