"""bin/compare_predictions: DNC against LSTM at predicting Pommerman."""
