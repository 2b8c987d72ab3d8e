// The loss of labels.

public import Engine
import Foundation

func cosine(_ x: Float) -> Float { cosf(x) }

/// Mean over the batch of −log softmax(z)[label], and its gradient.
public func crossEntropy(_ logits: Tensor, labels: [Int]) -> (loss: Float, gradient: Tensor) {
  let classes = logits.rowElementCount
  let logs = logSoftmax(logits)
  var gradient = Tensor(zeros: logits.shape)
  var sum = 0.0
  logs.withSpan { log in
    gradient.update { span in
      for (image, label) in labels.enumerated() {
        sum -= Double(log[image * classes + label])
        for k in 0..<classes {
          let position = image * classes + k
          span[position] = (expf(log[position]) - (k == label ? 1 : 0)) / Float(labels.count)
        }
      }
    }
  }
  return (Float(sum / Double(labels.count)), gradient)
}
