import Unlearning
