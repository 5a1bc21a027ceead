import ByteCoding
import Testing
